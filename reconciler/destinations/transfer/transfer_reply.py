"""What a mail system answers (RFC 5321, section 4.2; enhanced codes: RFC 3463)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.model.harmless_text import one_line
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused
from reconciler.model.secret import Secret, redact
from reconciler.replies.delivery_replies import (
    OF_ALL,
    PASSING,
    Obstacle,
    RefusedDelivery,
    has_known_words,
    refused_delivery,
)
from reconciler.wire.connection import Connection

LINE = 8 << 10
LINES = 128
"""The longest line in octets, and the most lines of one reply: a greeting or a list of extensions
has few."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([- ])([^\r\n]*))?\r\n")
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3}\.[0-9]{1,3})(?: |$)")
_ABOUT_THE_SENDER = ("1.7", "1.8")


class TransferReply(Struct, frozen=True):
    """`lines` are the texts behind the code, printable; `mixed`: not every line has a code of the
    same kind."""

    code: int
    lines: tuple[str, ...]
    mixed: bool = False

    @property
    def done(self) -> bool:
        return 200 <= self.code < 300 and not self.mixed

    @property
    def wants_more(self) -> bool:
        """3xx: go on."""
        return 300 <= self.code < 400 and not self.mixed

    @property
    def refused(self) -> bool:
        """For good. Who says by code and enhanced code, or by code and words, that it is for good
        and that it passes, is believed the latter: nothing is given up for a contradiction."""
        if self.code < 500 or self.mixed or self.out_of_order:
            return False
        enhanced = self._enhanced
        told = self.told
        return (enhanced is None or enhanced[1] == "5") and (
            told is None or told.obstacle not in PASSING
        )

    @property
    def out_of_order(self) -> bool:
        """It does not expect this command now (503): that is about the connection, not about the
        message."""
        return self.code == 503

    @property
    def concerns_all(self) -> bool:
        """It wants a login or TLS, or nothing from this machine: no message's and no recipient's
        fault."""
        told = self.told
        return self.refused and told is not None and told.obstacle in OF_ALL

    @property
    def too_many(self) -> bool:
        """No more recipients in this transaction: 452, or 552 from older servers (RFC 5321, section
        4.5.3.1.10), unless they say that it is something else; x.5.3 (RFC 3463, section 3.6)."""
        told = self.told
        return self.code >= 400 and (
            told.obstacle is Obstacle.TOO_MANY if told else self.code in (452, 552)
        )

    @property
    def unknown_mailbox(self) -> bool:
        """Whether it says that there is no such mailbox; every other refusal leaves that open.

        550 without an enhanced code, unless its words give another reason; 550, 551 or 553 with one
        about the address (5.1.x, but for those about the sender's); and 5.2.4, by which OpenSMTPD
        says (524) that its virtual table leads to nobody. Not 5.2.1 and 5.2.2, mailboxes that take
        nothing, and not 5.7.x, which refuses somebody (RFC 3463, section 3).
        """
        if not self.refused:
            return False
        enhanced = self._enhanced
        if enhanced is None:
            return self.code == 550 and self.told is None
        if enhanced[2] == "2.4":
            return True
        return (
            self.code in (550, 551, 553)
            and enhanced[2].startswith("1.")
            and enhanced[2] not in _ABOUT_THE_SENDER
        )

    @property
    def told(self) -> RefusedDelivery | None:
        """What a refusal, or a putting off, means; None where nobody knows."""
        if self.code < 400:
            return None
        enhanced = self._enhanced
        code = enhanced[0].strip() if enhanced else ""
        return refused_delivery(self.code, code, " ".join(self.lines))

    @property
    def wait(self) -> float | None:
        """Seconds that it asks us to wait."""
        told = self.told
        return told.wait if told else None

    @property
    def advice(self) -> str:
        """What a person is told of it, "" where nobody knows."""
        told = self.told
        return told.obstacle.value if told else ""

    def outcome(self, recipient: str) -> DeliveryOutcome:
        """What this reply means for a recipient: to RCPT, or after the message."""
        if self.done:
            return Delivered(recipient, " ".join(self.lines)[:200])
        if self.refused:
            return Refused(recipient, self.explained, self.unknown_mailbox)
        return Deferred(recipient, self.explained, wait=self.wait)

    @property
    def explained(self) -> str:
        """Its words, and the advice."""
        return f"{str(self).rstrip('. ')}. {self.advice}" if self.advice else str(self)

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)[:300]}".rstrip()

    @property
    def _enhanced(self) -> re.Match[str] | None:
        return _ENHANCED.match(self.lines[0])


def read_reply(connection: Connection, secrets: Sequence[Secret] = ()) -> TransferReply:
    """The next reply, all its lines; should the server echo one of `secrets`, that is left out
    (hazard S1).

    Raises `ConnectionFailed` or `ProtocolViolation`.
    """
    connection.begin_command()
    lines: list[str] = []
    kinds: set[bytes] = set()
    while len(lines) < LINES:
        raw = connection.read_line(LINE)
        match = _LINE.fullmatch(raw)
        if match is None:
            raise ProtocolViolation(
                f"{connection.endpoint}: not a reply as of a mail system"
            )  # never quoted (W4)
        lines.append(redact(_printable(match[3] or b""), secrets))
        kinds.add(match[1][:1])
        if match[2] != b"-":
            return TransferReply(int(match[1]), tuple(lines), len(kinds) > 1)
    raise ProtocolViolation(f"{connection.endpoint}: a reply has more than {LINES} lines")


def _printable(raw: bytes) -> str:
    return one_line(_decoded(raw).strip(), "?")


def _decoded(raw: bytes) -> str:
    """UTF-8, else whatever encoding makes it words that mail systems say."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        from reconciler.replies.reply_meaning import decoded  # noqa: PLC0415  # hardly any server

        text = decoded(raw, has_known_words)
        return text if not text.isascii() else raw.decode("utf-8", "replace")
