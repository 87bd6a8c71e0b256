"""Lines as they are sent (RFC 5321, section 2.3.8): each ends with CRLF, and there are no other CR
or LF.

With a lone CR or LF next to a dot, a second message could be smuggled into the first (hazard M2).
Here each of them becomes a line end like any other, before dots are doubled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def canonical_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Turn every CRLF, lone LF and lone CR into CRLF, wherever the chunks are cut. Add a line end
    to the last line if it has none."""
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


def stuff_dots(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Double the dots at the beginning of canonical lines (section 4.5.2)."""
    at_line_start = True
    for chunk in chunks:
        stuffed = chunk.replace(b"\n.", b"\n..")
        yield b"." + stuffed if at_line_start and stuffed.startswith(b".") else stuffed
        at_line_start = chunk.endswith(b"\n")


def _crlf(lines: bytes) -> bytes:
    return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
