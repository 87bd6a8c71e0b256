"""Passwords from the page's form, each kept in a file of its own, as `add` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.control.manifest_drafts import declared_manifest
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile
from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor
from reconciler.manifests.editing.secret_files import (
    DIRECTORY,
    KeptSecret,
    free_name,
    replace_secret,
    require_allowed,
    write_new_secret,
)
from reconciler.manifests.manifest_files import Unreadable
from reconciler.model.errors import CollectorError
from reconciler.model.scalar_types import is_name


class SecretNotKept(CollectorError):
    """A password cannot be kept in a file."""

    reason = "SecretNotKept"


def keep_password(editor: ManifestEditor, name: str, text: str) -> tuple[str, KeptSecret]:
    """Keep a collector's password. Return the file's path relative to the collector's manifest.

    A file that this made for the collector before is written anew; any other one stays as it is.
    Raises EditRefused, PolicyRefused, SecretNotKept.
    """
    if not is_name(name):
        raise EditRefused(f"{name!r} is no name of a collector")
    if not may_be_password(text):
        raise EditRefused("a password is one line of printable characters")
    base, declared = _declared_file(editor, name)
    beside = os.path.relpath(editor.directory.parent / DIRECTORY, base)
    place = Path(os.path.realpath(base / beside))
    file = Path(declared).name
    if declared != f"{beside}/{file}" or not _is_own(file, name):
        file = free_name(place, name)
    require_allowed(base / beside / file)
    require_allowed(place / file)
    return f"{beside}/{file}", _kept(place, file, text)


def may_be_password(text: str) -> bool:
    """Return whether a text can be kept as a password: it is one line of printable characters."""
    return bool(text) and text.isprintable()


def _is_own(file: str, name: str) -> bool:
    """Return whether a file's name is one that `free_name` gives for this collector."""
    return file == name or (file.startswith(f"{name}-") and file[len(name) + 1 :].isdecimal())


def _kept(place: Path, file: str, text: str) -> KeptSecret:
    path = place / file
    try:
        if os.path.lexists(path):
            return replace_secret(path, text)
        return write_new_secret(place, file, text)
    except (Unreadable, ChangedMeanwhile) as error:
        raise SecretNotKept(f"the password cannot be kept in {path}: {error}") from error
    except OSError as error:
        raise SecretNotKept(f"the password cannot be kept in {path}: {error.strerror}") from error


def _declared_file(editor: ManifestEditor, name: str) -> tuple[Path, str]:
    """Return the directory where a collector's relative paths start, and the file that its
    manifest names for the password; "" where it names none."""
    if not editor.places(name):
        return editor.directory, ""
    found = declared_manifest(editor, name)
    value: Any = found.data
    for key in ("spec", "source", "password", "file"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return found.path.parent, value if isinstance(value, str) else ""
