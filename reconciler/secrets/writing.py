"""Writing a secret to its file: refresh tokens that an authorization server replaced, or that somebody just got."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from reconciler.disk import sync_names
from reconciler.model.errors import SecretUnavailable
from reconciler.model.secret import Secret


def write_secret(path: str, secret: Secret) -> None:
    """Put it there, in mode 0600 and whole or not at all, even over a power cut; a link stays one, and what it leads to
    is replaced. Raises SecretUnavailable."""
    target = os.path.realpath(path)
    directory = os.path.dirname(target)  # noqa: PTH120  # pathlib drops `..` and `//`
    try:
        descriptor, draft = tempfile.mkstemp(dir=directory, prefix=".secret-")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                _own_as(descriptor, target)
                file.write(secret.reveal().encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            os.replace(draft, target)  # noqa: PTH105  # paths are text here
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)  # noqa: PTH108  # paths are text here
            raise
        sync_names(directory)
    except OSError as error:
        raise SecretUnavailable(f"cannot write the secret file {path}: {error.strerror}; let the user that runs "
                                "mailcollector write there") from error


def _own_as(descriptor: int, target: str) -> None:
    """The old file's owner, where we may give files away."""
    if os.getuid() == 0:
        with suppress(FileNotFoundError):
            old = os.stat(target)  # noqa: PTH116  # paths are text here
            os.fchown(descriptor, old.st_uid, old.st_gid)
