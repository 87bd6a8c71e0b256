"""What a mail system answers (RFC 5321, section 4.2; enhanced codes: RFC 3463)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused
from reconciler.model.secret import Secret, redact
from reconciler.wire.connection import Connection

LINE = 8 << 10
LINES = 128
"""The longest line in octets, and the most lines of one reply: a greeting or a list of extensions has few."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([- ])([^\r\n]*))?\r\n")
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")
_ABOUT_THE_SENDER = ("5.1.7", "5.1.8")


class Reply(Struct, frozen=True):
    """`lines` are the texts behind the code, printable."""

    code: int
    lines: tuple[str, ...]

    @property
    def done(self) -> bool:
        return 200 <= self.code < 300

    @property
    def refused(self) -> bool:
        return self.code >= 500

    @property
    def out_of_order(self) -> bool:
        """It does not expect this command now (503): that is about the connection, not about the message."""
        return self.code == 503

    @property
    def unknown_mailbox(self) -> bool:
        """Whether it says that there is no such mailbox; every other refusal leaves that open.

        550 without an enhanced code; 550, 551 or 553 with one about the address (5.1.x, but for those about the
        sender's); and 5.2.4, by which OpenSMTPD says (524) that its virtual table leads to nobody. Not 5.2.1 and 5.2.2,
        mailboxes that take nothing, and not 5.7.x, which refuses somebody (RFC 3463, section 3).
        """
        enhanced = _ENHANCED.match(self.lines[0])
        if enhanced is None:
            return self.code == 550
        if enhanced[1] == "5.2.4":
            return self.refused
        return (self.code in (550, 551, 553) and enhanced[1].startswith("5.1.")
                and enhanced[1] not in _ABOUT_THE_SENDER)

    def outcome(self, recipient: str) -> DeliveryOutcome:
        """What this reply means for a recipient: to RCPT, or after the message."""
        if self.done:
            return Delivered(recipient, " ".join(self.lines)[:200])
        if self.refused and not self.out_of_order:
            return Refused(recipient, str(self), self.unknown_mailbox)
        return Deferred(recipient, str(self))

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)[:300]}".rstrip()


def read_reply(connection: Connection, secrets: Sequence[Secret] = ()) -> Reply:
    """The next reply, all its lines; should the server echo one of `secrets`, that is left out (hazard S1).

    Raises `ConnectionFailed` or `ProtocolViolation`.
    """
    connection.begin_command()
    lines: list[str] = []
    while len(lines) < LINES:
        raw = connection.read_line(LINE)
        match = _LINE.fullmatch(raw)
        if match is None:
            raise ProtocolViolation(f"{connection.endpoint}: not a reply as of a mail system")  # never quoted (W4)
        lines.append(redact(_printable(match[3] or b""), secrets))
        if match[2] != b"-":
            return Reply(int(match[1]), tuple(lines))
    raise ProtocolViolation(f"{connection.endpoint}: a reply has more than {LINES} lines")


def _printable(raw: bytes) -> str:
    return "".join(each if each.isprintable() else "?" for each in raw.decode("utf-8", "replace").strip())
