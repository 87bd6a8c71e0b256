"""Modified UTF-7 (RFC 3501, section 5.1.3), read as servers write it: what is between `&` and `-`
need not be what only UTF-7 can say, the `-` may be missing at the end or before what no base64 has
in it, padding may be there."""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)={0,2}(-?)")


def decoded(raw: bytes) -> str:
    """ASCII octets as text; as they are where they cannot be modified UTF-7, or would mean what no
    text is."""
    pieces: list[str] = []
    position = 0
    for shifted in _SHIFTED.finditer(raw):
        text = _text(shifted[1]) if shifted[1] else "&" if shifted[2] else None
        if text is None:
            return raw.decode("ascii")
        pieces += [raw[position : shifted.start()].decode("ascii"), text]
        position = shifted.end()
    return "".join(pieces) + raw[position:].decode("ascii")


def _text(base64: bytes) -> str | None:
    try:
        text = binascii.a2b_base64(base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)).decode(
            "utf-16-be"
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text
