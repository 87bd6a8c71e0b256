"""The references to secrets in a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from reconciler.model.secret import REDACTED
from reconciler.model.spec import ManifestModel, SecretRef

M = TypeVar("M", bound=ManifestModel)


def secret_refs(part: ManifestModel) -> Iterator[SecretRef]:
    """Yield the references to secrets in a manifest, or in any part of one, in the order of its
    fields."""
    if isinstance(part, SecretRef):
        yield part
        return
    for _, value in part:
        if isinstance(value, ManifestModel):
            yield from secret_refs(value)


def holds_secret(part: ManifestModel) -> bool:
    """Return whether a secret is written in the manifest itself (`password: {value: …}`).

    Such a manifest is not kept as last good, because the ledger must not contain secrets. So it has
    no last good version after a restart.
    """
    return any(ref.value is not None for ref in secret_refs(part))


def without_secrets(part: M) -> M:
    """Return a copy in which secrets written in the manifest itself are replaced by `REDACTED`."""
    if isinstance(part, SecretRef):
        return part if part.value is None else part.model_copy(update={"value": REDACTED})
    return part.model_copy(
        update={
            name: without_secrets(value) for name, value in part if isinstance(value, ManifestModel)
        }
    )
