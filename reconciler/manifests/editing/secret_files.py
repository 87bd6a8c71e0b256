"""Secrets in files of their own, beside the manifests' directory."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.editing.atomic_files import new_file, replace_file
from reconciler.manifests.manifest_files import read
from reconciler.model.errors import PolicyRefused
from reconciler.model.manifest_policy import allowed, is_beneath

DIRECTORY = "secrets"
"""Its name, beside the manifests' directory."""
_MOST = 100


class KeptSecret(Struct, frozen=True):
    """A secret's file. `before` is its content before; None: it is new."""

    path: Path
    content: bytes
    before: bytes | None = None

    def undo(self) -> None:
        """Restore the file to what it was before. Raises ChangedMeanwhile, OSError."""
        replace_file(self.path, self.content, self.before)


def secrets_beside(directory: Path) -> Path:
    """Return the directory for secrets of these manifests. Links are followed before `..`
    counts."""
    return Path(os.path.realpath(directory / ".." / DIRECTORY))


def write_new_secret(place: Path, name: str, secret: str) -> KeptSecret:
    """Write a secret into a new file, only for the user who runs this. `place` is made where it
    does not exist. Raises FileExistsError, OSError."""
    if not place.is_dir():
        place.mkdir(mode=0o700)
        new_file(place / ".gitignore", b"*\n")  # manifests often lie in a git checkout
    path, content = place / name, _content(secret)
    if os.path.lexists(path):
        raise FileExistsError(
            17, "exists already: name it with --password-file, or remove it", str(path)
        )
    new_file(path, content, 0o600)
    return KeptSecret(path, content)


def replace_secret(path: Path, secret: str) -> KeptSecret:
    """Replace the secret in a file that exists; mode and owner stay. Raises Unreadable, OSError."""
    before, content = read(path), _content(secret)
    replace_file(path, before, content)
    return KeptSecret(path, content, before)


def free_name(place: Path, name: str) -> str:
    """Return a name for a new file: `name`, or one with a number where that is taken."""
    names = [name, *(f"{name}-{number}" for number in range(2, _MOST))]
    return next((one for one in names if not os.path.lexists(place / one)), name)


def require_allowed(path: Path) -> None:
    """Raise PolicyRefused where the policy does not allow a secret in this file."""
    roots = allowed().secret_files
    if not is_beneath(str(path), roots):
        where = f"it may stand in {', '.join(roots[:10])}" if roots else "it allows no place"
        raise PolicyRefused(f"the policy does not allow a secret in {path}: {where}")


def _content(secret: str) -> bytes:
    return f"{secret}\n".encode()
