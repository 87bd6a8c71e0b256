"""The file of tokens: names, roles and hashes, never the tokens themselves.

A token has 256 random bits, so nobody can guess it from its hash. One round of SHA-256 suffices,
and a request costs no slow hash. The file also holds the key that browser sessions are signed with.
Its mode is 0600, because a reader can act as anybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from reconciler.disk import NotAFile, open_file, opened_directory, replacing, write_all
from reconciler.model.errors import CollectorError
from reconciler.web.access.roles import Role

PREFIX = "mct_"
"""The start of every token, by which scanners recognise leaked ones."""
_NAME = re.compile(r"[^\W_][\w.@+ -]{0,62}", re.ASCII)
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SHORTEST_KEY = 32
_LIMIT = 1 << 20
"""Octets that are read of the file at most."""


class TokenRefused(CollectorError):
    """A token cannot be made or revoked, or the file of tokens cannot be used."""

    reason = "TokenRefused"


class ApiToken(Struct, frozen=True, rename="camel"):
    """A token as it is kept. `hash` is `sha256:` and the digest in hex."""

    name: str
    role: Role
    hash: str
    created_at: datetime


class _TokenList(Struct, frozen=True, rename="camel"):
    tokens: tuple[ApiToken, ...] = ()
    signing_key: str = ""
    version: int = 1


class TokenFile:
    """The tokens at `path`. Another process may change the file at any time, so it is read again
    whenever its signature differs. All methods raise TokenRefused for a file that cannot be
    used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] = ()
        self._content = _TokenList()

    def tokens(self) -> tuple[ApiToken, ...]:
        """Return every token, sorted by name."""
        return tuple(sorted(self._current().tokens, key=lambda token: token.name))

    def find(self, secret: str) -> ApiToken | None:
        """Return the token with this text; None if there is none."""
        wanted, found = _hash(secret), None
        for token in self._current().tokens:  # every one, in the same time
            if hmac.compare_digest(token.hash, wanted):
                found = token
        return found

    def named(self, name: str) -> ApiToken | None:
        return next((token for token in self._current().tokens if token.name == name), None)

    @property
    def signing_key(self) -> str:
        """The key of browser sessions; "" before the first token is made."""
        return self._current().signing_key

    def create(self, name: str, role: Role) -> str:
        """Make a token and return it. It is shown this once. Raises TokenRefused."""
        if not _NAME.fullmatch(name):
            raise TokenRefused(
                f"{name!r} is no name of a token: 1 to 63 letters, digits and `. _ @ + -`"
            )
        secret = PREFIX + secrets.token_urlsafe(32)
        token = ApiToken(name, role, _hash(secret), datetime.now(UTC).replace(microsecond=0))

        def added(content: _TokenList) -> _TokenList:
            if any(one.name == name for one in content.tokens):
                raise TokenRefused(
                    f"there is a token {name!r}: revoke it first with `token revoke {name}`"
                )
            return _TokenList(
                (*content.tokens, token), content.signing_key or secrets.token_hex(32)
            )

        self._change(added)
        return secret

    def revoke(self, name: str) -> None:
        """Remove a token; its browser sessions end with it. Raises TokenRefused."""

        def removed(content: _TokenList) -> _TokenList:
            left = tuple(one for one in content.tokens if one.name != name)
            if len(left) == len(content.tokens):
                raise TokenRefused(f"there is no token {name!r}")
            return _TokenList(left, content.signing_key)

        self._change(removed)

    def _change(self, change: Callable[[_TokenList], _TokenList]) -> None:
        """Replace the content as a whole. The directory is locked meanwhile, so that two programs
        do not lose each other's change."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with opened_directory(self.path.parent) as directory:
                fcntl.flock(directory, fcntl.LOCK_EX)
                after = change(_decoded(self._read(), self.path))
                draft = f".{self.path.name}.{secrets.token_hex(4)}"
                with replacing(directory, self.path.name, draft) as file:
                    write_all(file, _encoded(after))
                    if os.geteuid() == 0:  # the daemon of the directory's owner has to read it
                        owner = os.fstat(directory)
                        os.fchown(file, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise TokenRefused(f"{self.path} cannot be written: {error.strerror}") from error
        self._seen = ()

    def _current(self) -> _TokenList:
        """Return the content. The file is read again only if it differs from the one before."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._content = (), _TokenList()
            return self._content
        except OSError as error:
            raise TokenRefused(f"{self.path} cannot be read: {error.strerror}") from error
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if seen != self._seen:
            self._content = _decoded(self._read(), self.path)
            self._seen = seen
        return self._content

    def _read(self) -> bytes | None:
        try:
            descriptor = open_file(self.path, os.O_RDONLY, follow=True)
        except FileNotFoundError:
            return None
        except NotAFile as error:
            raise TokenRefused(
                f"{self.path} cannot be read: {error.strerror}; remove it"
            ) from error
        except OSError as error:
            raise TokenRefused(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            self._require_ours(os.fstat(descriptor))
            data = os.pread(descriptor, _LIMIT + 1, 0)
        except OSError as error:
            raise TokenRefused(f"{self.path} cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if len(data) > _LIMIT:
            raise TokenRefused(f"{self.path} is no file of tokens: it is too long")
        return data

    def _require_ours(self, status: os.stat_result) -> None:
        """Raise TokenRefused for something that is no file, and for a file that others may
        write."""
        if not stat.S_ISREG(status.st_mode):
            raise TokenRefused(f"{self.path} is no file")
        if status.st_mode & 0o022 or status.st_uid not in {0, os.geteuid(), self._owner()}:
            raise TokenRefused(
                f"others may write {self.path}: let it belong to the daemon's user, and "
                "`chmod go-w` it"
            )

    def _owner(self) -> int:
        """Return whose the directory is, where root looks at another user's tokens."""
        return self.path.parent.stat().st_uid if os.geteuid() == 0 else 0


def _hash(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _decoded(data: bytes | None, path: Path) -> _TokenList:
    """Return the content of the file's text. Raises TokenRefused, without the text: it holds
    hashes and a key."""
    if data is None:
        return _TokenList()
    try:
        content = msgspec.json.decode(data, type=_TokenList)
    except (msgspec.DecodeError, RecursionError) as error:  # a ValidationError is a DecodeError
        raise TokenRefused(f"{path} is no file of tokens: {type(error).__name__}") from None
    if wrong := _wrong_in(content):
        raise TokenRefused(f"{path} is no file of tokens: {wrong}")
    return content


def _wrong_in(content: _TokenList) -> str:
    """Return what a file may not hold that this program did not write."""
    names = [token.name for token in content.tokens]
    if len(set(names)) < len(names):
        return "a name is there twice"
    if not all(map(_NAME.fullmatch, names)):
        return "a name that no token has"
    if not all(_HASH.fullmatch(token.hash) for token in content.tokens):
        return "a hash that is no SHA-256"
    if content.signing_key and len(content.signing_key) < _SHORTEST_KEY:
        return "its key is too short"
    return "" if content.version == 1 else "it is of another version"


def _encoded(content: _TokenList) -> bytes:
    return json.dumps(msgspec.to_builtins(content), indent=2).encode() + b"\n"
