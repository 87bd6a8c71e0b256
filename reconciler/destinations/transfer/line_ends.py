"""Lines as they travel (RFC 5321, section 2.3.8): each ended by CRLF, and nothing else that could
pass for a line end.

A lone CR or LF next to a dot is how a second message is smuggled into the first (hazard M2): here
it becomes a line end like any other, before dots are doubled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def canonical(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF, lone LF and lone CR all become CRLF, wherever the chunks are cut; the last line is
    ended."""
    carried, ended = b"", True
    for chunk in chunks:
        whole = carried + chunk
        carried = b"\r" if whole.endswith(b"\r") else b""
        lines = _crlf(whole[:-1] if carried else whole)
        if lines:
            yield lines
            ended = lines.endswith(b"\n")
    if carried or not ended:
        yield b"\r\n"


def dotted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Canonical lines with their leading dots doubled (section 4.5.2)."""
    at_line_start = True
    for chunk in chunks:
        stuffed = chunk.replace(b"\n.", b"\n..")
        yield b"." + stuffed if at_line_start and stuffed.startswith(b".") else stuffed
        at_line_start = chunk.endswith(b"\n")


def _crlf(lines: bytes) -> bytes:
    return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
