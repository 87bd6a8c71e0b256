"""How IMAP writes text: quoted strings (RFC 3501, section 9) and modified UTF-7 (section 5.1.3)."""

from __future__ import annotations

import binascii
import re

_ESCAPED = re.compile(rb'\\(["\\])')
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)={0,2}(-?)")


def quoted(text: bytes) -> bytes:
    """Return `text` as a quoted string. It must be ASCII without line ends."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def unescaped(text: bytes) -> bytes:
    """Return what the inside of a quoted string stands for.

    A backslash before anything but a quote or a backslash is no escape and stays: servers that do
    not escape send folder names with it.
    """
    return _ESCAPED.sub(rb"\1", text) if b"\\" in text else text


def decode_utf7(raw: bytes) -> str:
    """Decode modified UTF-7 from ASCII octets, as tolerantly as servers write it.

    What stands between `&` and `-` need not be what only UTF-7 can say. The `-` may be missing at
    the end, or before a character that base64 does not have; padding may be there. Octets that
    cannot be modified UTF-7, or would not be valid text, are returned as ASCII.
    """
    pieces: list[str] = []
    position = 0
    for shifted in _SHIFTED.finditer(raw):
        text = _from_base64(shifted[1]) if shifted[1] else "&" if shifted[2] else None
        if text is None:
            return raw.decode("ascii")
        pieces += [raw[position : shifted.start()].decode("ascii"), text]
        position = shifted.end()
    return "".join(pieces) + raw[position:].decode("ascii")


def _from_base64(base64: bytes) -> str | None:
    padded = base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)
    try:
        return binascii.a2b_base64(padded).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return None
