"""Header blocks alone: TOP (RFC 1939, section 7), many under way at once where the server allows
for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.messages import Listed
from reconciler.sources.pop3.multiline_body import Body
from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue
from reconciler.sources.pop3.retrieval import Numbered

_AT_ONCE = 200
_LARGEST = 1 << 20


def tops(
    dialogue: Pop3Dialogue, messages: Sequence[Numbered], *, pipelined: bool
) -> Iterator[tuple[Listed, bytes | None]]:
    """The header of each; None for one that is refused or larger than 1 MiB. When the first is
    refused, the others are not asked for: TOP is optional. To be read to its end."""
    start, count = 0, 1
    while start < len(messages):
        part = messages[start : start + count]
        dialogue.send(*[b"TOP %d 0" % number for number, _ in part])
        for _, listed in part:
            header = _header(dialogue)
            yield listed, header
            if start == 0 and header is None:
                return
        start, count = start + count, _AT_ONCE if pipelined else 1


def _header(dialogue: Pop3Dialogue) -> bytes | None:
    reply = dialogue.reply()
    header = _kept(Body(dialogue.connection, others=dialogue.owed > 1)) if reply.ok else None
    dialogue.owed -= 1
    return header


def _kept(body: Body) -> bytes | None:
    pieces = [piece for piece in body if body.octets <= _LARGEST]
    return b"".join(pieces) if body.octets <= _LARGEST else None
