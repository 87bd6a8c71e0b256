"""The octets of one message while they are read from the server. This unifies line ends, and
computes the size and the digests. `spool` reads a message to its end before anything is decided
about it."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from reconciler.model.errors import DestinationUnavailable, ProtocolViolation
from reconciler.model.messages import Fingerprint

HEAD_BOUND = 1 << 20
"""Octets of a header block that routing reads at most."""
_FIELDS = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_IN_MEMORY = 1 << 20
"""Octets that `spool` keeps in memory; a larger message goes to a temporary file."""
_CHUNK = 1 << 18


class IncomingMessage:
    """One message, read once. Iterating yields its octets with LF line ends; `fingerprint` and
    `size` are complete when the iteration has ended.

    Raises ProtocolViolation when more than `bound` octets come: the size that the server announced
    was wrong.
    """

    def __init__(self, content: Iterable[bytes], bound: int) -> None:
        self._chunks = unify_line_ends(content)
        self._bound = bound
        self._ahead: list[bytes] = []
        self._header = _HeaderDigest()
        self._content = _TrimmedDigest()
        self.size = 0

    def head(self) -> bytes:
        """Return the message up to the end of its header block at least, or its first `HEAD_BOUND`
        octets."""
        head = b""
        while b"\n\n" not in head and not head.startswith(b"\n") and len(head) < HEAD_BOUND:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._ahead.append(chunk)
            head = b"".join(self._ahead)
        return head

    def __iter__(self) -> Iterator[bytes]:
        while self._ahead:
            yield self._pass(self._ahead.pop(0))
        for chunk in self._chunks:
            yield self._pass(chunk)

    def _pass(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        if self.size > self._bound:
            raise ProtocolViolation(
                f"a message is larger than the server announced: over {self._bound} octets"
            )
        self._header.update(chunk)
        self._content.update(chunk)
        return chunk

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self._header.hexdigest(), self._content.hexdigest())


def unify_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks with LF for CRLF, wherever they are cut; a lone CR or LF stays."""
    carried = b""
    for chunk in chunks:
        whole = carried + chunk if carried else chunk
        carried = b"\r" if whole.endswith(b"\r") else b""
        yield _unified(whole[:-1] if carried else whole)
    if carried:
        yield carried


def _unified(octets: bytes) -> bytes:
    # Searching for one octet is much faster than for two. So deleting every CR, and checking that
    # this can be undone, takes a quarter of the time of a replacement. It cannot be undone where a
    # CR or LF stands alone.
    bare = octets.replace(b"\r", b"")
    return bare if bare.replace(b"\n", b"\r\n") == octets else octets.replace(b"\r\n", b"\n")


def fingerprint(content: Iterable[bytes]) -> Fingerprint:
    """Return the fingerprint of a whole message, whatever its line ends."""
    incoming = IncomingMessage(content, 1 << 62)
    for _ in incoming:
        pass
    return incoming.fingerprint


def header_digest(header: bytes) -> str | None:
    """Return `Fingerprint.header` of a header block that came without its message.

    None if the block may differ from the message's own: it is empty, or one of its lines is no
    field (RFC 5322, section 2.2).
    """
    unified = b"".join(unify_line_ends([header]))
    block = unified.partition(b"\n\n")[0].rstrip(b"\n")
    if not block or not _FIELDS.fullmatch(block + b"\n"):
        return None
    digest = _HeaderDigest()
    digest.update(block)
    return digest.hexdigest()


class _TrimmedDigest:
    """SHA-256 of everything but the trailing line ends. NUL counts as 0x80, which IMAP servers send
    in its place."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._held = 0

    def update(self, chunk: bytes) -> None:
        kept = (
            len(chunk.rstrip(b"\n"))
            if chunk.endswith(b"\n\n")
            else len(chunk) - chunk.endswith(b"\n")
        )
        if kept:
            self._release()
            shown = chunk.replace(b"\0", b"\x80")  # the same object where there is none
            self._digest.update(memoryview(shown)[:kept])
        self._held += len(chunk) - kept

    def _release(self) -> None:
        while self._held:
            count = min(self._held, 1 << 16)
            self._digest.update(b"\n" * count)
            self._held -= count

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _HeaderDigest:
    """SHA-256 of everything before the first empty line."""

    def __init__(self) -> None:
        self._digest = _TrimmedDigest()
        self._line_ended = True
        self._over = False

    def update(self, chunk: bytes) -> None:
        if self._over or not chunk:
            return
        end = 0 if self._line_ended and chunk.startswith(b"\n") else chunk.find(b"\n\n")
        self._over = end >= 0
        self._digest.update(chunk[:end] if self._over else chunk)
        self._line_ended = chunk.endswith(b"\n")

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def spool(content: Iterable[bytes]) -> Iterator[bytes]:
    """Read `content` to its end now, and return an iterator that yields it again, once.

    Raises DestinationUnavailable where there is no room for it: the message waits like one for
    which the destination has no room.
    """
    contents = _spooled(content)
    next(contents)
    return contents


def _spooled(content: Iterable[bytes]) -> Iterator[bytes]:
    # closing it writes what is buffered, and may fail
    spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    try:
        for chunk in content:
            with _no_room():
                spooled.write(chunk)
        with _no_room():
            spooled.seek(0)
        yield b""
        while chunk := _read(spooled):
            yield chunk
    finally:
        with suppress(OSError):  # reported already, or nobody needs the buffered octets any more
            spooled.close()


def _read(spooled: tempfile.SpooledTemporaryFile[bytes]) -> bytes:
    with _no_room():
        return spooled.read(_CHUNK)


@contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationUnavailable(
            f"no room for a large message in {tempfile.gettempdir()}, where it is compared "
            f"before it is delivered: {error.strerror or error}; make room there, or set "
            "TMPDIR"
        ) from error
