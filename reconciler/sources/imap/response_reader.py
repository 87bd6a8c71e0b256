"""Read responses of an IMAP server (RFC 3501, section 7) as tolerantly as is unambiguous.

imaplib demands the grammar to the letter. Servers add spaces, leave out texts, write keywords in
small letters, send empty lines, and end lines with a lone LF; all of that has one meaning only. The
reader stays strict where that protects the program: tags, the ends of literals, the length of a
line, and the number of literals in a response.
"""

from __future__ import annotations

import re

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.replies import reply_meaning
from reconciler.sources.imap.fetch_responses import LargeLiteral, Literal, Mark, TaggedCompletion
from reconciler.wire.connection import Connection

WHOLE = 4 << 20
"""Octets of the largest literal that is kept in memory; larger messages are fetched in parts
(hazards L6 and I1)."""
MOST_LITERALS = 64
"""Literals in one response; no response that is asked for has more than two."""
_WORK = 100
"""Octets that a response counts for besides its own: reading a short one takes time as well."""
_EMPTY = 100
"""Empty lines in a row."""
_SMALL = 64 << 10
"""Octets of a literal in any other response than FETCH: names, mostly."""
_LITERAL = re.compile(rb"~?\{(\d{1,20})[+-]?\}[ \t]?\Z")
_ABSURD = re.compile(rb"\{\d{21,}[+-]?\}[ \t]?\Z")
_UNTAGGED = re.compile(
    rb"\*[ \t]*(?:(\d{1,20})[ \t]*)?"
    rb"(?:([A-Za-z][A-Za-z0-9.-]*)(?:[ \t:,;!]+|(?=[\[(\"])|\Z))?(.*)",
    re.DOTALL,
)
_TAGGED = re.compile(
    rb"([^ \t]+)[ \t]+(OK|NO|BAD)(?![A-Za-z0-9_-])[ \t.:,;!]*(.*)", re.IGNORECASE | re.DOTALL
)
_LONG = re.compile(
    rb"\* *(?:\d{1,20} +)?(?:FETCH|X?LIST|LSUB|E?SEARCH|SORT|CAPABILITY|FLAGS|OK +\[(?:CAPABILITY"
    rb"|PERMANENTFLAGS))[ \r\n]|[^* ]+ +OK +\[CAPABILITY ",
    re.IGNORECASE,
)
"""The beginnings of lines that may be longer than others."""
_TEXTS = frozenset(
    ("OK", "NO", "BAD", "BYE", "PREAUTH", "SEARCH", "FLAGS", "EXISTS", "RECENT", "EXPUNGE")
)
"""Responses without literals, even where their text ends like one."""


class UntaggedResponse(Struct, frozen=True):
    """An untagged response.

    `name` is in capitals, or "". `number` is the number before it. `text` is what follows, with
    {size} in place of literals.
    """

    name: str
    number: int | None
    text: bytes
    literals: tuple[Literal, ...] = ()


class ContinuationRequest(Struct, frozen=True):
    """A line `+ text`: the server waits for more (RFC 3501, section 7.5)."""

    text: bytes


class ResponseReader:
    """Reads responses from a connection.

    `bodies` is true where messages were asked for: literals of FETCH then do not count for the
    bound of a reply.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.bodies = False
        self.largest = 0
        """Octets of the largest literal beyond `WHOLE` that is kept, in a file, instead of passed
        over."""

    def read(self) -> UntaggedResponse | TaggedCompletion | ContinuationRequest:
        """Read the next response. Raises ProtocolViolation for what cannot be one."""
        self._connection.count(_WORK)
        for _ in range(_EMPTY):  # some servers send empty lines, behind literals mostly
            if line := self._line().lstrip(b" \t"):
                break
        if line.startswith(b"*"):
            return self._untagged(line)
        if line.startswith(b"+"):
            return ContinuationRequest(line[1:].strip(b" "))
        tagged = _TAGGED.fullmatch(line)
        if tagged is None:
            raise self._violation("a line that is no response")
        return TaggedCompletion(tagged[2].decode().upper(), decoded(tagged[3]), tagged[1])

    def _line(self) -> bytes:
        limits = self._connection.limits
        line = self._connection.read_line(limits.line, longer=_LONG, most=limits.long_line)[:-2]
        if line.endswith((b"}", b"} ", b"}\t")) and _ABSURD.search(line):
            raise self._violation("a literal longer than any number that it can be read as")
        return line

    def _untagged(self, line: bytes) -> UntaggedResponse:
        found = _UNTAGGED.fullmatch(line)
        assert found is not None  # noqa: S101  # it fits whatever begins with an asterisk
        number, name, text = found.groups()
        kind = (name or b"").decode("ascii").upper()
        literals: list[Literal] = []
        if kind not in _TEXTS and _LITERAL.search(line):
            text = b"".join(self._with_literals(text, literals, large=kind == "FETCH"))
        return UntaggedResponse(
            kind, None if number is None else int(number), text.strip(b" \t"), tuple(literals)
        )

    def _with_literals(self, line: bytes, literals: list[Literal], *, large: bool) -> list[bytes]:
        """Read the pieces of a response whose first line ends with a literal's size."""
        pieces = [line]
        kept = 0
        while match := _LITERAL.search(line):
            size = int(match[1])
            if len(literals) == MOST_LITERALS:
                raise self._violation(f"a response with more than {MOST_LITERALS} literals")
            literals.append(
                self._large(size, keep=kept + size <= 2 * WHOLE) if large else self._small(size)
            )
            kept += min(size, WHOLE)
            line = self._line()
            if large and not line:
                line = self._closing(literals[-1])
            pieces.append(line)
        return pieces

    def _closing(self, literal: Literal) -> bytes:
        """Read the line after an empty line that follows a literal of FETCH.

        FETCH is a list, which must go on or end, so the empty line is superfluous. But if the
        literal does not end with a line end, the empty line is its line end, and the size was wrong
        (hazard I3). Then it raises ProtocolViolation.
        """
        line = self._line()
        whole = isinstance(literal, bytes) and literal.endswith(b"\r\n")
        if not whole or not line.startswith((b")", b" ")):
            raise self._violation("something else than the rest of a response behind a literal")
        return line

    def _large(self, size: int, *, keep: bool) -> Literal:
        """Read a literal; pass over one that is too large to keep.

        Raises ProtocolViolation for an impossible size, before anything is read.
        """
        if self.bodies and WHOLE < size <= self.largest:
            return LargeLiteral(self._connection.read_chunks(size))
        if size > self._connection.limits.listing:
            raise self._violation(f"a literal of {size} octets, more than any reply may have")
        chunks, keep = self._connection.read_chunks(size), keep and size <= WHOLE
        if not keep or not self.bodies:
            self._connection.count(size)
        if keep:
            return b"".join(chunks)
        for _ in chunks:
            pass
        return Mark.TOO_LARGE

    def _small(self, size: int) -> bytes:
        if size > _SMALL:
            raise self._violation(f"a literal of {size} octets, more than a name may have")
        return self._connection.read(size)

    def _violation(self, what: str) -> ProtocolViolation:
        return ProtocolViolation(f"{self._connection.endpoint}: the server sent {what}")


def decoded(text: bytes | None) -> str:
    """Return the text of a response as `str`."""
    return reply_meaning.decoded(text or b"")


def code(text: bytes) -> tuple[str, bytes] | None:
    """Return a response code and its data: UIDNEXT and 7 of `[UIDNEXT 7] next`.

    It stands first and ends at the first bracket (RFC 3501, section 7.1). None for no code.
    """
    if not text.startswith(b"["):
        return None
    inside, closed, _ = text[1:].partition(b"]")
    name, *data = inside.split(maxsplit=1) or [b""]
    return (
        (name.decode("ascii", "replace").upper(), b"".join(data).strip())
        if closed and name
        else None
    )
