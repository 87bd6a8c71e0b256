"""Smaller files of pictures: a PNG of Chromium with its 256 commonest colours (RFC 2083)."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
_ROUNDED = 0xF0
"""Which bits of a rare colour say to what colour it becomes; so few are looked up."""
Colour = tuple[int, int, int]


def with_few_colours(png: bytes) -> bytes:
    """Return the same picture with a palette.

    Raises ValueError for a PNG that is none of 8 bits a sample, with red, green and blue.
    """
    width, height, kind = _header(png)
    channels = {2: 3, 6: 4}.get(kind)
    if channels is None:
        raise ValueError(f"a PNG of the colour type {kind}")
    data = zlib.decompress(b"".join(_parts(png, b"IDAT")))
    rows = [
        list(zip(row[0::channels], row[1::channels], row[2::channels], strict=True))
        for row in _rows(data, width * channels, channels)
    ]
    counted = Counter(colour for row in rows for colour in row)
    palette = [colour for colour, _ in counted.most_common(COLOURS)]
    numbers = _numbers(counted, palette)
    drawn = b"".join(b"\0" + bytes(numbers[colour] for colour in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return SIGNATURE + b"".join(
        (
            _part(b"IHDR", header),
            _part(b"PLTE", bytes(sample for colour in palette for sample in colour)),
            _part(b"IDAT", zlib.compress(drawn, 9)),
            _part(b"IEND", b""),
        )
    )


def _header(png: bytes) -> tuple[int, int, int]:
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    if depth != 8 or interlaced or not png.startswith(SIGNATURE):
        raise ValueError("no PNG of 8 bits a sample")
    return width, height, kind


def _parts(png: bytes, wanted: bytes) -> Iterator[bytes]:
    at = len(SIGNATURE)
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == wanted:
            yield png[at + 8 : at + 8 + length]
        at += length + 12


def _part(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def _rows(data: bytes, width: int, channels: int) -> Iterator[bytearray]:
    """Yield the samples of each row, without the filters that they were packed with."""
    above = bytearray(width)
    for at in range(0, len(data), width + 1):
        row = bytearray(data[at + 1 : at + 1 + width])
        _unfilter(data[at], row, above, channels)
        yield row
        above = row


def _unfilter(kind: int, row: bytearray, above: bytearray, channels: int) -> None:
    if kind == 0:
        return
    for at, sample in enumerate(row):
        left = row[at - channels] if at >= channels else 0
        up = above[at]
        corner = above[at - channels] if at >= channels else 0
        guess = (left, up, (left + up) // 2, _paeth(left, up, corner))[kind - 1]
        row[at] = (sample + guess) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda sample: abs(guess - sample))


def _numbers(counted: Counter[Colour], palette: list[Colour]) -> dict[Colour, int]:
    """Return for each colour the number of the palette's that is nearest."""
    numbers = {colour: at for at, colour in enumerate(palette)}
    rounded: dict[Colour, int] = {}
    for colour in counted:
        if colour in numbers:
            continue
        red, green, blue = colour
        coarse = (red & _ROUNDED, green & _ROUNDED, blue & _ROUNDED)
        if coarse not in rounded:
            rounded[coarse] = min(
                range(len(palette)), key=lambda at: _distance(palette[at], colour)
            )
        numbers[colour] = rounded[coarse]
    return numbers


def _distance(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
