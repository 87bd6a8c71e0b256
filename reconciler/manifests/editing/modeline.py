"""The comment by which editors find the schema: yaml-language-server wants one in each document,
behind its `---`."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.manifests.editing.atomic_files import new_file, replace_file
from reconciler.manifests.manifest_files import Unreadable, read
from reconciler.manifests.schema_export import json_schema

_MARK = "yaml-language-server: $schema="


def modeline(where: str) -> str:
    """The comment, with its line end."""
    return f"# {_MARK}{where}\n"


def is_modeline(line: str) -> bool:
    return line.startswith(f"# {_MARK}")


_OWN = f".{json_schema.FILE}"
"""No manifest: its name begins with a dot."""


def modeline_for(directory: Path) -> str:
    """The comment for the manifests in `directory`: names the schema beside it, in `schemas`, where
    there is one; else the one in the directory itself, which `provide` writes."""
    beside = _beside(directory)
    return modeline(os.path.relpath(beside, directory) if beside.is_file() else _OWN)


def provide(directory: Path) -> None:
    """Let the schema be there that `modeline_for` names. Raises OSError."""
    if not _beside(directory).is_file():
        write_schema(directory / _OWN)


def _beside(directory: Path) -> Path:
    return directory.parent / "schemas" / json_schema.FILE


def write_schema(path: Path) -> bool:
    """Let this file hold the schema of this version; whether it did not. Raises OSError."""
    wanted = json_schema.text().encode()
    try:
        found: bytes | None = read(path)
    except Unreadable:
        found = None
    if found == wanted:
        return False
    if found is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new_file(path, wanted)
    else:
        replace_file(path, found, wanted)
    return True
