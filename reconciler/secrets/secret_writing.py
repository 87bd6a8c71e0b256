"""Write a secret to its file: a refresh token that an authorization server replaced, or that a
person just got.

Often a refresh token is void after one use. So the thread that uses it holds its file's lock, from
reading it until its successor is on disk. As long there is a file `.NAME.rotation` beside the file
`NAME`. It has three purposes:

- the lock, for other threads and processes (flock);
- the proof, before the server is asked, that there is room and permission to keep its answer;
- the journal. The successor is written there in one write as soon as it is known. After a crash,
  the next holder of the lock completes the replacement, if the file still has the old secret.

Nothing is written through a link, nor into a file or directory that belongs to somebody else.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import time
from contextlib import suppress
from typing import Self

from reconciler.disk import replacing, write_all
from reconciler.model.errors import SecretUnavailable
from reconciler.model.secret import Secret
from reconciler.secrets.secret_reading import LIMIT, strip_content

LOCK_TIMEOUT = 120.0
"""Seconds to wait for a lock: a little longer than a request for a token may take."""
_POLL = 0.02
"""Seconds between two tries of a lock."""
_ROOM = 3 * LIMIT
"""Octets of the journal that are reserved before they are needed; JSON may escape what it
quotes."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a refresh token may consist of (RFC 6749, appendix A.17), without the space, which no
provider uses."""
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def valid_refresh_token(token: object) -> Secret | None:
    """Return a refresh token that a server sent; None for a value that cannot be one, or could not
    be read from a file again."""
    if isinstance(token, str) and len(token) <= LIMIT and _TOKEN.fullmatch(token):
        return Secret(token)
    return None


class SecretFile:
    """The file of a secret that we replace. `with SecretFile(path) as file:` holds its lock.

    If this process may not write the file (a read-only mount, a link, another owner), `obstacle`
    says why, and the lock is on the file itself. Raises SecretUnavailable where the lock is not
    released in time, or the disk is full.
    """

    def __init__(self, path: str, timeout: float = LOCK_TIMEOUT) -> None:
        self.path = path
        self.obstacle: str | None = None
        """Why a new secret cannot be written here; None where it can."""
        self._timeout = timeout
        self._unfinished = False
        self._directory = -1
        self._journal = -1
        directory, self._name = os.path.split(path)  # pathlib drops `..`
        self._parent = directory or "."
        self._journal_name = f".{self._name}.rotation"
        self._draft_name = f".{self._name}.draft"

    def __enter__(self) -> Self:
        try:
            self._directory = os.open(self._parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.obstacle = self._found_obstacle()
            self._lock()
            if self.obstacle is None:
                self._finish_begun()
        except OSError as error:
            self._close()
            raise self._failed(error) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a journal that stays is empty, or agrees with the file
            if self.obstacle is None and not self._unfinished:
                os.unlink(self._journal_name, dir_fd=self._directory)
        self._close()

    def reserve(self) -> None:
        """Make sure that a successor can be kept. Raises SecretUnavailable where the disk is full
        or fails."""
        if self.obstacle is not None:
            return
        try:
            os.posix_fallocate(self._journal, 0, _ROOM)
            os.fsync(self._journal)
            os.fsync(self._directory)
        except OSError as error:
            raise self._failed(error) from error

    def replace(self, old: Secret | None, new: Secret) -> None:
        """Replace the secret `old` by `new`, whole or not at all, also over a power cut. The mode
        is 0600. `old` is None where the file is to be replaced whatever it holds.

        A successor of `old` also gets the file's time of modification. So that time changes only
        when somebody else writes the file (`secret_reading.stamp`). Raises SecretUnavailable.
        """
        if self.obstacle is not None:
            raise SecretUnavailable(f"cannot write the secret file {self.path}: {self.obstacle}")
        try:
            if old is not None:
                entry = json.dumps({"replaces": old.digest(), "secret": new.reveal()}) + "\n"
                os.pwrite(self._journal, entry.encode(), 0)
                self._unfinished = True
                os.fsync(self._journal)
            self._write(new.reveal(), keep_time=old is not None)
            self._unfinished = False
        except OSError as error:
            raise self._failed(error) from error

    # The lock

    def _lock(self) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                descriptor = self._opened_lock()
            except FileNotFoundError:
                if self.obstacle is None:
                    raise
                return  # nothing to lock, and nothing to read
            if self._locked(descriptor, deadline) and (
                self.obstacle is not None or self._is_current(descriptor)
            ):
                self._journal = descriptor
                return
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise SecretUnavailable(
                    f"the secret file {self.path} is in use by another process for more than "
                    f"{self._timeout:.0f} s; it is tried again later"
                )

    def _locked(self, descriptor: int, deadline: float) -> bool:
        """Take the lock; return False where the deadline passes before."""
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(_POLL)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                return True

    def _opened_lock(self) -> int:
        """Open the journal; where it cannot be made, open the secret file itself."""
        if self.obstacle is None:
            try:
                descriptor = os.open(
                    self._journal_name,
                    os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                    0o600,
                    dir_fd=self._directory,
                )
            except OSError as error:
                if error.errno not in _READ_ONLY:
                    raise
                self.obstacle = (
                    f"{error.strerror}; let the user that runs mailcollector write in "
                    f"{self._parent}"
                )
            else:
                reason = _foreign(os.fstat(descriptor))
                if reason is None:
                    return descriptor
                os.close(descriptor)
                self.obstacle = f"{self._journal_name} beside it {reason}; remove that"
        return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _is_current(self, descriptor: int) -> bool:
        """Return whether the locked file is still the journal. The holder before us has removed it,
        perhaps after we had opened it."""
        try:
            found = os.stat(self._journal_name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(descriptor))

    def _close(self) -> None:
        for descriptor in (self._journal, self._directory):
            if descriptor >= 0:
                os.close(descriptor)
        self._journal = self._directory = -1

    # The file

    def _found_obstacle(self) -> str | None:
        """Return why a new secret cannot be written, as far as owners and modes show."""
        directory = os.fstat(self._directory)
        if directory.st_uid not in {os.geteuid(), 0}:
            return f"the directory {self._parent} belongs to another user"
        if directory.st_mode & stat.S_IWOTH and not directory.st_mode & stat.S_ISVTX:
            return f"anybody may write in the directory {self._parent}"
        try:
            found = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        reason = _foreign(found)
        return (
            reason and f"it {reason}; name a file that belongs to the user that runs mailcollector"
        )

    def _finish_begun(self) -> None:
        """Complete a replacement that was journalled before a crash."""
        entry = _entry(os.pread(self._journal, _ROOM, 0))
        if entry is not None:
            replaced, secret = entry
            current = self._content()
            if current is not None and current.digest() == replaced:
                self._write(secret, keep_time=True)
        os.ftruncate(self._journal, 0)

    def _content(self) -> Secret | None:
        try:
            descriptor = os.open(
                self._name,
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=self._directory,
            )
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(LIMIT + 1)
        return Secret(strip_content(raw).decode("utf-8", "replace"))

    def _write(self, value: str, *, keep_time: bool) -> None:
        with suppress(FileNotFoundError):
            # A crash left it. We hold the lock, so nobody is writing it.
            os.unlink(self._draft_name, dir_fd=self._directory)
        with replacing(self._directory, self._name, self._draft_name) as draft:
            write_all(draft, value.encode() + b"\n")
            if keep_time:
                self._keep_time(draft)

    def _keep_time(self, draft: int) -> None:
        with suppress(FileNotFoundError):
            found = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
            os.utime(draft, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _failed(self, error: OSError) -> SecretUnavailable:
        return SecretUnavailable(
            f"cannot write the secret file {self.path}: {error.strerror}; let the user that runs "
            "mailcollector write there, and see that its disk has room"
        )


def write_secret(path: str, secret: Secret) -> None:
    """Write the secret to its file, whatever that held before. Raises SecretUnavailable."""
    with SecretFile(path) as file:
        file.replace(None, secret)


def _foreign(found: os.stat_result) -> str | None:
    """Return why a file is not ours only; None where it is."""
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if found.st_nlink != 1:
        return "has other names (hard links)"
    return None


def _entry(journal: bytes) -> tuple[str, str] | None:
    """Return the digest of the replaced secret, and its successor; None for a journal that was not
    written whole."""
    line, end, _ = journal.partition(b"\n")
    if not end:
        return None
    try:
        entry = json.loads(line)
        found = entry["replaces"], entry["secret"]
    except (ValueError, TypeError, KeyError):
        return None
    return (
        found if isinstance(found[0], str) and valid_refresh_token(found[1]) is not None else None
    )
