"""Replies of a mail system (RFC 5321, section 4.2; enhanced codes: RFC 3463)."""

from __future__ import annotations

import re

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.model.harmless_text import one_line
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused
from reconciler.model.secret_parts import SecretParts
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
"""Octets of the longest line that is read."""
LINES = 128
"""Lines that one reply may have. A greeting or a list of extensions has few."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([- ])([^\r\n]*))?\r\n")
_ENHANCED = re.compile(r"([245])\.([0-9]{1,3}\.[0-9]{1,3})(?: |$)")
_ABOUT_THE_SENDER = ("1.7", "1.8")
"""Enhanced codes of the class "address" that are about the sender (RFC 3463, section 3.2)."""


class TransferReply(Struct, frozen=True):
    """A reply, and what it means."""

    code: int
    lines: tuple[str, ...]
    """The texts after the code, without control characters and parts of secrets."""
    mixed: bool = False
    """Whether the codes of its lines begin with different digits."""
    whole: tuple[str, ...] = ()
    """The lines with what is hidden in them, for their meaning; empty: as `lines`."""

    @property
    def unredacted(self) -> tuple[str, ...]:
        """The lines as they were said. They may quote a secret: not to be shown."""
        return self.whole or self.lines

    @property
    def succeeded(self) -> bool:
        """Return whether the command succeeded (2xx)."""
        return 200 <= self.code < 300 and not self.mixed

    @property
    def wants_more(self) -> bool:
        """Return whether the server waits for the rest (3xx)."""
        return 300 <= self.code < 400 and not self.mixed

    @property
    def refused(self) -> bool:
        """Return whether it is a permanent refusal.

        Where the code says so, but the enhanced code or the words say that it is temporary, it is
        temporary. A contradiction is no reason to give up a message.
        """
        if self.code < 500 or self.mixed or self.out_of_order:
            return False
        enhanced = self._enhanced
        meaning = self.meaning
        return (enhanced is None or enhanced[1] == "5") and (
            meaning is None or meaning.obstacle not in PASSING
        )

    @property
    def out_of_order(self) -> bool:
        """Return whether the server does not expect this command now (503). That concerns the
        connection, not the message."""
        return self.code == 503

    @property
    def concerns_all(self) -> bool:
        """Return whether the refusal concerns all messages: the server requires a login or TLS, or
        takes nothing from this machine."""
        meaning = self.meaning
        return self.refused and meaning is not None and meaning.obstacle in OF_ALL

    @property
    def too_many(self) -> bool:
        """Return whether the server takes no more recipients in this transaction.

        The codes are x.5.3 (RFC 3463, section 3.6), or 452, and 552 from older servers (RFC 5321,
        section 4.5.3.1.10). Words that give another reason take precedence over the last two.
        """
        meaning = self.meaning
        return self.code >= 400 and (
            meaning.obstacle is Obstacle.TOO_MANY if meaning else self.code in (452, 552)
        )

    @property
    def unknown_mailbox(self) -> bool:
        """Return whether it says that there is no such mailbox. Every other refusal leaves that
        open.

        These replies say so:

        - 550 without an enhanced code, unless its words give another reason;
        - 550, 551 or 553 with an enhanced code about the recipient's address (5.1.x, without
          `_ABOUT_THE_SENDER`);
        - 5.2.4, which OpenSMTPD sends with 524 where its virtual table leads to nobody.

        5.2.1 and 5.2.2 are mailboxes that take nothing, and 5.7.x refuses the sender (RFC 3463,
        section 3).
        """
        if not self.refused:
            return False
        enhanced = self._enhanced
        if enhanced is None:
            return self.code == 550 and self.meaning is None
        if enhanced[2] == "2.4":
            return True
        return (
            self.code in (550, 551, 553)
            and enhanced[2].startswith("1.")
            and enhanced[2] not in _ABOUT_THE_SENDER
        )

    @property
    def meaning(self) -> RefusedDelivery | None:
        """Return the meaning of a refusal, permanent or not; None where it is unknown."""
        if self.code < 400:
            return None
        enhanced = self._enhanced
        code = enhanced[0].strip() if enhanced else ""
        return refused_delivery(self.code, code, " ".join(self.unredacted))

    @property
    def wait(self) -> float | None:
        """Return the seconds to wait that the server asks for; None where it names none."""
        meaning = self.meaning
        return meaning.wait if meaning else None

    @property
    def advice(self) -> str:
        """Return the advice for a person; empty where the meaning is unknown."""
        meaning = self.meaning
        return meaning.obstacle.value if meaning else ""

    def outcome(self, recipient: str) -> DeliveryOutcome:
        """Return the outcome of this reply, to RCPT or after the message, for a recipient."""
        if self.succeeded:
            return Delivered(recipient, " ".join(self.lines)[:200])
        if self.refused:
            return Refused(recipient, self.explained, self.unknown_mailbox)
        return Deferred(recipient, self.explained, wait=self.wait)

    @property
    def explained(self) -> str:
        """Return the server's words, and the advice."""
        return f"{str(self).rstrip('. ')}. {self.advice}" if self.advice else str(self)

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)[:300]}".rstrip()

    __repr__ = __str__

    @property
    def _enhanced(self) -> re.Match[str] | None:
        return _ENHANCED.match(self.unredacted[0])


def read_reply(connection: Connection, secrets: SecretParts) -> TransferReply:
    """Read the next reply with all its lines. What the server repeats of a secret, in any form, is
    left out (hazard S1). Raises ConnectionFailed, ProtocolViolation."""
    connection.begin_command()
    unredacted: list[str] = []
    lines: list[str] = []
    kinds: set[bytes] = set()
    while len(lines) < LINES:
        raw = connection.read_line(LINE)
        match = _LINE.fullmatch(raw)
        if match is None:
            raise ProtocolViolation(
                f"{connection.endpoint}: not a reply as of a mail system"  # not quoted (hazard W4)
            )
        text = match[3] or b""
        unredacted.append(_printable(text))
        lines.append(_printable(secrets.hide(text)))
        kinds.add(match[1][:1])
        if match[2] != b"-":
            return TransferReply(int(match[1]), tuple(lines), len(kinds) > 1, tuple(unredacted))
    raise ProtocolViolation(f"{connection.endpoint}: a reply has more than {LINES} lines")


def _printable(raw: bytes) -> str:
    return one_line(_decoded(raw).strip(), "?")


def _decoded(raw: bytes) -> str:
    """Decode UTF-8, else the encoding in which the text has words that mail systems use."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        from reconciler.replies.reply_meaning import decoded  # noqa: PLC0415  # hardly any server

        text = decoded(raw, has_known_words)
        return text if not text.isascii() else raw.decode("utf-8", "replace")
