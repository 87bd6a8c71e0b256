"""What replies of mail systems mean, as a table: codes and texts, and what follows for a recipient.

`python -m tests.destinations.reply_table` writes `reply_table.txt` anew: read the difference, each
line of it is a change of behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from reconciler.destinations.transfer.transfer_reply import TransferReply

TABLE = Path(__file__).with_suffix(".txt")
_CODES = (
    *(199, 200, 250, 299, 300, 354, 399, 400, 421, 450, 451, 452),
    *(499, 500, 501, 502, 503, 524, 530, 535, 550, 551, 552, 553, 554, 599),
)
_TEXTS = (
    "",
    "words",
    "2.0.0 Ok: queued as 4711",
    "4.2.1 words",
    "4.5.3 words",
    "5.1.1 words",
    "5.1.10 words",
    "5.1.7 words",
    "5.1.8 words",
    "5.2.4 words",
    "5.5.3 words",
    "5.7.1 words",
    "5.7.26",
    "4.2.2 mailbox full",
    "5.2.2 mailbox full",
    "no such user here",
    "greylisted, try again in 5 minutes",
    "too many recipients",
    "authentication required",
    "must issue a STARTTLS command first",
    "message size exceeds fixed limit",
)
_QUALITIES = (
    "succeeded",
    "wants_more",
    "refused",
    "out_of_order",
    "concerns_all",
    "too_many",
    "unknown_mailbox",
)


def lines() -> Iterator[str]:
    for code, text in product(_CODES, _TEXTS):
        yield from _told(TransferReply(code, (text,)))
    for code in (250, 354, 452, 550):
        yield from _told(TransferReply(code, ("words",), mixed=True))
        yield from _told(TransferReply(code, ("words", "mailbox full")))
    yield from _told(TransferReply(250, ("x" * 400,)))
    yield from _told(TransferReply(550, ("x" * 400,)))


def _told(reply: TransferReply) -> Iterator[str]:
    qualities = ", ".join(name for name in _QUALITIES if getattr(reply, name)) or "nothing"
    mixed = " (mixed)" if reply.mixed else ""
    yield f"{reply}{mixed}: {qualities}; {reply.outcome('a@here')}"


if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in lines()))
