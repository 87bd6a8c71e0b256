"""Read the secret that a manifest refers to. Errors say where it was searched, never what was
found."""

from __future__ import annotations

import functools
import os
import stat
from concurrent.futures import Future

from reconciler.log import log
from reconciler.model.errors import PolicyRefused, SecretUnavailable
from reconciler.model.manifest_policy import Roots, allowed
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef
from reconciler.secrets.secret_command import run_command
from reconciler.wire.confined_files import opened_within

LIMIT = 1 << 16
"""Octets that a secret may have. Tokens have a few thousand."""


def read_secret(ref: SecretRef, cancelled: Future[None] | None = None) -> Secret:
    """Read a secret now. `ref.file` is absolute, or relative to the working directory. When
    `cancelled` is done, a program that should print the secret is killed.

    Raises SecretUnavailable where there is no secret. One with control characters is refused, for
    they could end the command that it is sent in (hazards L3, S4). Raises PolicyRefused.
    """
    policy = allowed()
    if ref.file is not None:
        return _checked(_file(ref.file, policy.secret_files), f"the file {_shown(ref.file)}")
    if ref.env is not None:
        if not policy.variable(ref.env):
            raise PolicyRefused(
                f"the policy does not allow the environment variable {ref.env} for a secret"
            )
        return _checked(_variable(ref.env), f"the environment variable {ref.env}")
    if ref.command is not None:
        if not policy.program(ref.command):
            raise PolicyRefused(f"the policy does not allow to run {ref.command[0]} for a secret")
        return _checked(
            run_command(ref.command, LIMIT, cancelled), f"the output of {ref.command[0]}"
        )
    return _checked((ref.value or "").encode(), "the manifest's value")


def stamp(ref: SecretRef, *, replaced_by_us: bool = False) -> str | None:
    """Return a text that changes when the secret's file does, without reading the file. It is empty
    while the file is missing, and None for a secret that is in no file.

    A refresh token is `replaced_by_us`. Its stamp changes only when somebody else writes it
    (`secret_writing.SecretFile.replace`).
    """
    if ref.file is None:
        return None
    try:
        # Links are followed: Kubernetes replaces the link to the directory.
        found = os.stat(ref.file)  # noqa: PTH116
    except OSError:
        return ""
    if replaced_by_us:
        return str(found.st_mtime_ns)
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _file(path: str, roots: Roots) -> bytes:
    try:
        with opened_within(path, roots, "secret file") as place:
            # O_NONBLOCK, because opening a FIFO would wait for a writer.
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SecretUnavailable(
            f"cannot read the secret file {_shown(path)}: {error.strerror}; make it, and readable "
            "for the user that runs mailcollector"
        ) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SecretUnavailable(
                f"the secret file {_shown(path)} is not a file; name one that holds the secret "
                "alone"
            )
        if mode & stat.S_IROTH:
            _warn_readable(_shown(path))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise SecretUnavailable(
            f"cannot read the secret file {_shown(path)}: {error.strerror}; check its disk"
        ) from error
    finally:
        os.close(descriptor)


def _shown(path: str) -> str:
    """Return the path without `..`, where that leads to the same file. Behind a link it may not."""
    plain = os.path.normpath(path)
    there, here = os.path.dirname(plain), os.path.dirname(path)  # noqa: PTH120
    same = os.path.realpath(there) == os.path.realpath(here)
    return plain if same else path


@functools.lru_cache(maxsize=10_000)  # warns once for each file
def _warn_readable(path: str) -> None:
    log.warning(
        "everybody on this machine may read a secret: forbid that with `chmod o-r FILE`", file=path
    )


def _variable(name: str) -> bytes:
    value = os.environb.get(name.encode())
    if value is None:
        raise SecretUnavailable(
            f"the environment variable {name} is not set; set it for mailcollector, and restart it"
        )
    return value


def _checked(raw: bytes, where: str) -> Secret:
    if len(raw) > LIMIT:
        raise SecretUnavailable(
            f"{where} is over {LIMIT} bytes long; it must hold the secret alone"
        )
    text = _decoded(strip_content(raw))
    if text is None:
        raise SecretUnavailable(f"{where} is not UTF-8; write the secret in UTF-8")
    if not text.strip():
        raise SecretUnavailable(
            f"{where} is empty{', but for spaces' if text else ''}; put the secret there"
        )
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text):
        raise SecretUnavailable(
            f"{where} has a line end, a tab or another control character inside; it must hold the "
            "secret alone, on one line"
        )
    return Secret(text)


def strip_content(raw: bytes) -> bytes:
    """Return a file's content without what editors add to a secret: a byte order mark at its
    beginning, one line end at its end."""
    return raw.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").removesuffix(b"\r")


def _decoded(raw: bytes) -> str | None:
    """Return the text, or None: an error would contain the secret."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
