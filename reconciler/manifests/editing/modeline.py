"""The comment that tells editors where the schema is.

yaml-language-server expects one in each document, after its `---`.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.manifests.editing.atomic_files import new_file, replace_file
from reconciler.manifests.manifest_files import Unreadable, read
from reconciler.manifests.schema_export import json_schema

_MARK = "yaml-language-server: $schema="


def modeline(where: str) -> str:
    """Return the comment with its line end."""
    return f"# {_MARK}{where}\n"


def is_modeline(line: str) -> bool:
    return line.startswith(f"# {_MARK}")


_OWN = f".{json_schema.FILE}"
"""The name of the schema beside manifests. It begins with a dot, so that it is no manifest."""


def modeline_for(directory: Path) -> str:
    """Return the comment for the manifests in `directory`.

    It names the schema in `schemas` beside the directory or, if there is none, the one that
    `provide` writes into the directory.
    """
    beside = _beside(directory)
    return modeline(os.path.relpath(beside, directory) if beside.is_file() else _OWN)


def provide(directory: Path) -> None:
    """Write the schema that `modeline_for` names if it is missing. Raises OSError."""
    if not _beside(directory).is_file():
        write_schema(directory / _OWN)


def _beside(directory: Path) -> Path:
    return directory.parent / "schemas" / json_schema.FILE


def write_schema(path: Path) -> bool:
    """Write the schema of this version to `path`. Return whether the file changed. Raises
    OSError."""
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
