"""A manifest as it is run: paths made absolute, and its digest."""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from reconciler.model.spec import (
    Declared,
    LmtpSpec,
    MaildirSpec,
    OAuth2,
    SecretRef,
    SmtpSpec,
    SourceSpec,
)

M = TypeVar("M", bound=Declared)

PATHS: dict[type[Declared], tuple[str, ...]] = {
    SecretRef: ("file",),
    SourceSpec: ("ca_file",),
    OAuth2: ("ca_file",),
    MaildirSpec: ("path",),
    LmtpSpec: ("socket",),
    SmtpSpec: ("ca_file",),
}
"""The fields that are paths."""


def resolve_paths(manifest: M, base: str) -> M:
    """The manifest, or any part of one, with its relative paths made absolute, starting at `base`.
    Links stay as they are: a mounted secret is swapped by changing one."""
    start = os.path.abspath(base)  # noqa: PTH100  # pathlib drops `..` and `//`
    return map_paths(manifest, lambda path: os.path.join(start, path))  # noqa: PTH118


def map_paths(manifest: M, change: Callable[[str], str]) -> M:
    """The manifest, or any part of one, with each of its paths changed. What has none that changes
    is the same object: of ten thousand manifests every kilobyte counts."""
    changes: dict[str, object] = {}
    for name in PATHS.get(type(manifest), ()):
        path = getattr(manifest, name)
        if path is not None and (changed := change(path)) != path:
            changes[name] = changed
    for name, value in manifest:
        if isinstance(value, Declared) and (mapped := map_paths(value, change)) is not value:
            changes[name] = mapped
    return manifest.model_copy(update=changes) if changes else manifest


def digest(spec: BaseModel) -> str:
    """SHA-256 in hex of what is declared, defaults filled in. The order and form of the manifest do
    not count, nor does whether a field is the manifest's own or its template's."""
    return digest_of(
        spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"from_"})
    )


def digest_of(value: object) -> str:
    """SHA-256 in hex of a value as it stands in a manifest."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
