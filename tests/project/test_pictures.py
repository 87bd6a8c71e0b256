"""The README's pictures are there, and small; how they become small changes no pixel of theirs."""

from __future__ import annotations

import re
import struct
import zlib

import pytest

from demo.picture_files import SIGNATURE, with_few_colours
from tests.project import ROOT

MOST = 150_000
WIDTH, HEIGHT = 7, 5
PIXELS = [[(9 * x, 40 * y, 255 - x * y) for x in range(WIDTH)] for y in range(HEIGHT)]


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    named = re.findall(r"\]\((\S+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) == 2
    assert all((ROOT / name).stat().st_size < MOST for name in named)


@pytest.mark.parametrize("channels", [3, 4])
def test_with_few_colours_every_pixel_stays(channels: int) -> None:
    """Each row is packed with another filter."""
    smaller = with_few_colours(packed(channels))
    parts = dict(parts_of(smaller))
    palette = [tuple(parts[b"PLTE"][at : at + 3]) for at in range(0, len(parts[b"PLTE"]), 3)]
    drawn = zlib.decompress(parts[b"IDAT"])
    rows = [drawn[at + 1 : at + 1 + WIDTH] for at in range(0, len(drawn), WIDTH + 1)]
    assert [[palette[at] for at in row] for row in rows] == PIXELS


def packed(channels: int) -> bytes:
    rows = [bytes(sample for pixel in row for sample in (*pixel, 255)[:channels]) for row in PIXELS]
    data, above = b"", bytes(WIDTH * channels)
    for kind, row in enumerate(rows):
        data += bytes([kind]) + filtered(kind, row, above, channels)
        above = row
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2 if channels == 3 else 6, 0, 0, 0)
    return SIGNATURE + part(b"IHDR", header) + part(b"IDAT", zlib.compress(data))


def filtered(kind: int, row: bytes, above: bytes, channels: int) -> bytes:
    left = bytes(channels) + row[:-channels]
    corner = bytes(channels) + above[:-channels]
    found = []
    for sample, a, b, c in zip(row, left, above, corner, strict=True):
        distances = [(abs(a + b - c - one), at, one) for at, one in enumerate((a, b, c))]
        nearest = min(distances)[2]
        found.append((sample - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(found)


def part(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + bytes(4)


def parts_of(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(SIGNATURE)
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        found.append((name, png[at + 8 : at + 8 + length]))
        at += length + 12
    return found
