"""From a manifest's reference to the secret. Errors tell where it was looked for, never what was
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
from reconciler.secrets.secret_command import output
from reconciler.wire.confined_files import opened_within

LIMIT = 1 << 16
"""Octets; tokens are a few thousand."""


def read_secret(ref: SecretRef, cancelled: Future[None] | None = None) -> Secret:
    """Read it now. `ref.file` is absolute, or relative to the working directory. `cancelled`:
    nobody waits for it any more, so a program that is to print it is ended.

    A byte order mark at its beginning and one line end at its end do not belong to it. Raises
    SecretUnavailable where there is none, or one with control characters, which could end the
    command that it is sent in (hazards L3, S4); PolicyRefused.
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
        return _checked(output(ref.command, LIMIT, cancelled), f"the output of {ref.command[0]}")
    return _checked((ref.value or "").encode(), "the manifest's value")


def stamp(ref: SecretRef, *, replaced_by_us: bool = False) -> str | None:
    """Changes when the secret's file does; cheap. "" while there is no file, None for secrets that
    do not tell. Of one that is `replaced_by_us` (a refresh token) only when somebody else writes it
    (`writing.SecretFile.replace`)."""
    if ref.file is None:
        return None
    try:
        # the directory's link too: ConfigMaps and Secrets swap that
        found = os.stat(ref.file)  # noqa: PTH116
    except OSError:
        return ""
    if replaced_by_us:
        return str(found.st_mtime_ns)
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _file(path: str, roots: Roots) -> bytes:
    try:
        with opened_within(path, roots, "secret file") as place:
            descriptor = os.open(
                place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )  # a FIFO would block
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
            _tell_readable(_shown(path))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise SecretUnavailable(
            f"cannot read the secret file {_shown(path)}: {error.strerror}; see to its disk"
        ) from error
    finally:
        os.close(descriptor)


def _shown(path: str) -> str:
    """Without `..`, where it leads to the same file: `..` behind a link leads elsewhere."""
    plain = os.path.normpath(path)
    same = os.path.realpath(os.path.dirname(plain)) == os.path.realpath(os.path.dirname(path))  # noqa: PTH120
    return plain if same else path


@functools.lru_cache(maxsize=10_000)  # once for each
def _tell_readable(path: str) -> None:
    log.warning(
        "everybody on this machine may read a secret: take that away, `chmod o-r FILE`", file=path
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
    text = _decoded(raw.removeprefix(b"\xef\xbb\xbf"))  # some editors' mark of UTF-8
    if text is None:
        raise SecretUnavailable(f"{where} is not UTF-8; write the secret in UTF-8")
    text = text.removesuffix("\n").removesuffix("\r")
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


def _decoded(raw: bytes) -> str | None:
    """None instead of an error, for that would carry the secret with it."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
