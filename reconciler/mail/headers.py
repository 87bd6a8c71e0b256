"""Read the header block of a message (RFC 5322, section 2.2) from its octets.

A line that is no field is passed over with its continuation lines. A blank line ends the block. LF
and CRLF both end lines; a bare CR or NUL is an octet like any other. Octets that are not UTF-8
become surrogates (PEP 383), which are in no address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

HEAD = 1 << 20
"""Octets of the header block that are read; later fields of a longer block are ignored."""
VALUE = 1 << 18
"""Octets of the longest field. A longer one is passed over: cut, it could end in a false
address."""

_LINE = re.compile(rb"[^\n]*\n?")
_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")


class Field(Struct, frozen=True):
    """One header field."""

    name: str
    value: str
    """Unfolded, without white space around it."""
    line: int
    """The number of its first line; the message's first line is 1."""


def fields(head: bytes, names: Collection[str] | None = None) -> Iterator[Field]:
    """Yield the fields with these names, from the top.

    `names` are in lower case; None means all. `head` has the message, or at least its first `HEAD`
    octets.
    """
    for name, raw, line in _raw_fields(head):
        if (names is None or name.lower() in names) and len(raw) <= VALUE:
            yield Field(name, _unfolded(raw), line)


def _raw_fields(head: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Yield name, raw value with continuation lines, and line number of each field.

    The last field of a block that is cut at `HEAD` is left out, as it may be incomplete.
    """
    name, start, end, begun = "", 0, 0, 0
    for number, line in enumerate(_LINE.finditer(head, 0, HEAD), 1):
        text = line[0]
        if text.startswith((b" ", b"\t")) and line.end() < HEAD:
            end = line.end()
            continue
        if name and not (line.end() >= HEAD and text.startswith((b" ", b"\t"))):
            yield name, head[start:end], begun
        if not text.strip(b"\r\n") or line.end() >= HEAD:
            return  # the pattern also matches the empty text after the last line
        match = _NAME.match(text)  # does not match mbox's "From " line
        name = match[1].decode("ascii") if match else ""
        start, end, begun = line.start() + (match.end() if match else 0), line.end(), number


def _unfolded(raw: bytes) -> str:
    """Return the value on one line: line ends before white space go (RFC 5322, section 2.2.3)."""
    if b"\n" in raw[:-1]:
        raw = re.sub(rb"\r?\n(?=[ \t])", b"", raw)
    return raw.rstrip(b"\r\n").strip(b" \t").decode("utf-8", "surrogateescape")
