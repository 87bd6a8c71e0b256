"""A manifest as it is run: paths made absolute, and its digest."""

from __future__ import annotations

import hashlib
import json
import os.path
from typing import TypeVar

from pydantic import BaseModel

from reconciler.manifests.spec import Declared, LmtpSpec, MaildirSpec, SecretRef, SourceSpec

M = TypeVar("M", bound=Declared)

_PATHS: dict[type[Declared], tuple[str, ...]] = {
    SecretRef: ("file",), SourceSpec: ("ca_file",), MaildirSpec: ("path",), LmtpSpec: ("socket",),
}


def resolve_paths(manifest: M, base: str) -> M:
    """The manifest, or any part of one, with its relative paths made absolute, starting at `base`. Links stay as they
    are: a mounted secret is swapped by changing one."""
    changes: dict[str, object] = {}
    for name in _PATHS.get(type(manifest), ()):
        path = getattr(manifest, name)
        if path is not None:
            changes[name] = os.path.join(os.path.abspath(base), path)  # noqa: PTH118, PTH100  # pathlib drops `..` and `//`
    for name, value in manifest:
        if isinstance(value, Declared):
            changes[name] = resolve_paths(value, base)
    return manifest.model_copy(update=changes)


def digest(spec: BaseModel) -> str:
    """SHA-256 in hex of what is declared, defaults filled in; the order and form of the manifest do not count."""
    declared = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = json.dumps(declared, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
