"""Manifests with absolute paths, and their digests."""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from reconciler.model.spec import (
    LmtpSpec,
    MaildirSpec,
    ManifestModel,
    OAuth2,
    SecretRef,
    SmtpSpec,
    SourceSpec,
)

M = TypeVar("M", bound=ManifestModel)

PATHS: dict[type[ManifestModel], tuple[str, ...]] = {
    SecretRef: ("file",),
    SourceSpec: ("ca_file",),
    OAuth2: ("ca_file",),
    MaildirSpec: ("path",),
    LmtpSpec: ("socket",),
    SmtpSpec: ("ca_file",),
}
"""The fields that are paths, by model."""


def resolve_paths(manifest: M, base: str) -> M:
    """Return a manifest, or a part of one, with its relative paths made absolute from `base`.

    Links are not resolved: a mounted secret is replaced by changing a link.
    """
    start = os.path.abspath(base)  # noqa: PTH100  # pathlib drops `..` and `//`
    return map_paths(manifest, lambda path: os.path.join(start, path))  # noqa: PTH118


def map_paths(manifest: M, change: Callable[[str], str]) -> M:
    """Return a manifest, or a part of one, with `change` applied to each of its paths.

    Parts without a changed path stay the same objects, which saves memory with 10,000 manifests.
    """
    changes: dict[str, object] = {}
    for name in PATHS.get(type(manifest), ()):
        path = getattr(manifest, name)
        if path is not None and (changed := change(path)) != path:
            changes[name] = changed
    for name, value in manifest:
        if isinstance(value, ManifestModel) and (mapped := map_paths(value, change)) is not value:
            changes[name] = mapped
    return manifest.model_copy(update=changes) if changes else manifest


def digest(spec: BaseModel) -> str:
    """Return the SHA-256 in hex of a spec with its defaults.

    The order of fields and the YAML syntax do not count. Nor does it count whether a field comes
    from the manifest or from its template.
    """
    return digest_of(
        spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"from_"})
    )


def digest_of(value: object) -> str:
    """Return the SHA-256 in hex of a manifest's value or a part of it."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
