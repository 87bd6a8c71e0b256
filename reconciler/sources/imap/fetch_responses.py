"""Parse FETCH responses (RFC 3501, sections 7.4.2 and 9), in any order of their attributes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from msgspec import Struct

from reconciler.model.errors import DestinationUnavailable
from reconciler.sources.imap.imap_strings import unescaped


class Mark(Enum):
    """The tokens that are not strings."""

    OPEN = "("
    CLOSE = ")"
    TOO_LARGE = "a literal that was not kept"


_LARGE_CHUNK = 1 << 18
"""Octets that are read at once from the file of a large literal."""


class LargeLiteral:
    """A literal that is too large for memory, kept in a temporary file.

    It can be read once. Raises DestinationUnavailable where there is no room for it.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.size = 0
        try:
            # closed when it was read, or is forgotten
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        try:
            for chunk in chunks:
                self._keep(chunk)
        except BaseException:
            self._file.close()
            raise

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.size

    def _keep(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _no_room(error) from error
        self.size += len(chunk)

    def chunks(self) -> Iterator[bytes]:
        with self._file:
            try:
                self._file.seek(0)
                while chunk := self._file.read(_LARGE_CHUNK):
                    yield chunk
            except OSError as error:
                raise _no_room(error) from error


def _no_room(error: OSError) -> DestinationUnavailable:
    return DestinationUnavailable(
        f"a large message cannot be kept in {tempfile.gettempdir()} while it is fetched: "
        f"{error.strerror}; make room there, or name another directory with TMPDIR"
    )


Literal = bytes | LargeLiteral | Mark
"""A literal's octets, those of a large one in a file, or `Mark.TOO_LARGE`."""
Value = bytes | LargeLiteral | Mark | None
"""None is NIL, or a parenthesised list, whose content is not needed."""

_TOKEN = re.compile(
    rb'(\()|(\))|"((?:[^"\\]++|\\.)*+)"|(~?\{\d+[+-]?\}[ \t]?)|'
    rb'((?:BODY|BINARY)[^\s()"{\[]*\[[^\]]*\](?:<\d*(?:\.\d*)?>)?|[^\s()"{]+)|(\s+)',
    re.DOTALL | re.IGNORECASE,
)
_SECTION = re.compile(rb"(BODY|BINARY)(?:\.PEEK)?\[[ \t]*+(HEADER)?[ \t]*+\](?:<(\d*)(?:\.\d*)?>)?")
_ALIASES = {b"RFC822": b"BODY[]", b"RFC822.PEEK": b"BODY[]", b"RFC822.HEADER": b"BODY[HEADER]"}
"""Other names of attributes in the responses of some servers (RFC 3501, section 6.4.5)."""
_ONCE = (b"UID", b"RFC822.SIZE", b"BODY", b"BINARY")
"""Attributes that must not come twice in one response."""
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_UID = re.compile(rb"(?<![^\s(])UID\s+(\d{1,10})(?![^\s),])", re.IGNORECASE)
_SIZE = re.compile(rb"(?<![^\s(])RFC822\.SIZE\s+(\d{1,20})(?![^\s),])", re.IGNORECASE)
LARGEST_UID = (1 << 32) - 1


class Fetched(Struct, frozen=True):
    """One FETCH response: its attributes, names in capitals."""

    attributes: Mapping[bytes, Value]

    @property
    def uid(self) -> int | None:
        """Return the UID; None where it is missing or impossible (hazard I7)."""
        value = self.attributes.get(b"UID")
        return number(value, LARGEST_UID) if isinstance(value, bytes) else None

    @property
    def size(self) -> int | None:
        value = self.attributes.get(b"RFC822.SIZE")
        return number(value, 1 << 62) if isinstance(value, bytes) else None


class TaggedCompletion(Struct, frozen=True):
    """The tagged end of a command: OK, NO or BAD, and the text after it."""

    status: str
    text: str
    tag: bytes = b""

    @property
    def ok(self) -> bool:
        return self.status == "OK"


def number(digits: bytes, largest: int) -> int | None:
    """Return a decimal from 0 to `largest`; None for anything else."""
    value = int(digits) if digits.isdigit() and len(digits) <= 20 else -1
    return value if 0 <= value <= largest else None


def parse_fetch(text: bytes, literals: Sequence[Literal]) -> Fetched:
    """Parse `(UID 5 BODY[] {10} …)`; `literals` are the contents in their order.

    Raises ValueError for anything else.
    """
    tokens = _tokens(text.replace(b"BODY [", b"BODY["), literals)
    if next(tokens, None) is not Mark.OPEN:
        raise ValueError("no attributes")
    found: dict[bytes, Value] = {}
    for name in tokens:
        if name is Mark.CLOSE:
            if any(True for _ in tokens):  # NIL among them, which is None
                raise ValueError("something follows the attributes")
            return Fetched(found)
        if not isinstance(name, bytes) or (
            (known := _named(name)) in found and known.startswith(_ONCE)
        ):
            raise ValueError("an attribute without a name, or twice")
        found[known] = _value(tokens)
    raise ValueError("the attributes do not end")


def salvage(text: bytes) -> Fetched | None:
    """Return UID and size of a response that cannot be parsed, such as one with odd flags.

    None where it has no UID, or several.
    """
    bare = _TEXT.sub(b'""', text)
    uids, sizes = set(_UID.findall(bare)), set(_SIZE.findall(bare))
    if len(uids) != 1 or len(sizes) > 1 or b"BODY[" in bare.upper():
        return None
    found: dict[bytes, Value] = {b"UID": uids.pop()}
    return Fetched(found | {b"RFC822.SIZE": sizes.pop()} if sizes else found)


def _named(name: bytes) -> bytes:
    """Return an attribute's name as in the request."""
    upper = name.upper()
    if b"[" in upper and (section := _SECTION.fullmatch(upper)):
        kind, part, offset = section.groups()
        return b"%s[%s]" % (kind, part or b"") + (b"" if offset is None else b"<%s>" % offset)
    return _ALIASES.get(upper, upper)


def _value(tokens: Iterator[Value]) -> Value:
    value = next(tokens, Mark.CLOSE)
    if value is Mark.CLOSE:
        raise ValueError("an attribute without a value")
    depth = int(value is Mark.OPEN)
    if not depth:
        return value
    for token in tokens:
        depth += (token is Mark.OPEN) - (token is Mark.CLOSE)
        if not depth:
            return None
    raise ValueError("a list does not end")


def _tokens(text: bytes, literals: Sequence[Literal]) -> Iterator[Value]:
    contents = iter(literals)
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unreadable at octet {position}")
        position = match.end()
        opening, closing, quoted, literal, atom, _ = match.groups()
        if atom is not None:
            yield None if atom.upper() == b"NIL" else atom
        elif opening or closing:
            yield Mark.OPEN if opening else Mark.CLOSE
        elif literal:
            content = next(contents, None)
            if content is None:
                raise ValueError("a literal in the middle of a line")
            yield content
        elif quoted is not None:
            yield unescaped(quoted)
