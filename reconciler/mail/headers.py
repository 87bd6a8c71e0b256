"""The header block (RFC 5322, section 2.2), read from the message's own bytes: bounded, tolerant,
never raising.

A field is taken as it stands: a line that is none is passed over together with its continuation
lines, a blank line ends the block, LF and CRLF both end lines. A bare CR or NUL is an octet like
any other. Octets that are not UTF-8 come as surrogates (PEP 383), so that nothing can be mistaken
for a character of an address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

HEAD = 1 << 20
"""Octets that are looked at; what stands below in a longer header block counts for nothing."""
VALUE = 1 << 18
"""Octets of one field that are looked at; a longer field is passed over, for its cut end could
forge an address."""

_LINE = re.compile(rb"[^\n]*\n?")
_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")


class Field(Struct, frozen=True):
    """`line` counts from 1, at the message's first line; `value` is unfolded and stripped."""

    name: str
    value: str
    line: int


def fields(head: bytes, names: Collection[str] | None = None) -> Iterator[Field]:
    """The fields of these names (in lower case; None: of every name), from the top. `head` is the
    message, or its first `HEAD` octets at least."""
    for name, raw, line in _raw_fields(head):
        if (names is None or name.lower() in names) and len(raw) <= VALUE:
            yield Field(name, _unfolded(raw), line)


def _raw_fields(head: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Name, raw value with its continuation lines, line number. Of a block cut at `HEAD` the last
    field, which may go on, is left out."""
    name, start, end, begun = "", 0, 0, 0
    for number, line in enumerate(_LINE.finditer(head, 0, HEAD), 1):
        text = line[0]
        if text.startswith((b" ", b"\t")) and line.end() < HEAD:
            end = line.end()
            continue
        if name and not (line.end() >= HEAD and text.startswith((b" ", b"\t"))):
            yield name, head[start:end], begun
        if not text.strip(b"\r\n") or line.end() >= HEAD:
            return  # at the latest at the empty match behind the last line
        match = _NAME.match(text)  # does not match mbox's "From " line
        name = match[1].decode("ascii") if match else ""
        start, end, begun = line.start() + (match.end() if match else 0), line.end(), number


def _unfolded(raw: bytes) -> str:
    """RFC 5322, section 2.2.3: a line end before white space goes, the white space stays."""
    if b"\n" in raw[:-1]:
        raw = re.sub(rb"\r?\n(?=[ \t])", b"", raw)
    return raw.rstrip(b"\r\n").strip(b" \t").decode("utf-8", "surrogateescape")
