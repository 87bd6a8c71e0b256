"""The lines that were sent and received in one session, over one connection or several, without its
secrets.

The data of a login are left out before the line is kept: the arguments of its command, and every
line until the server's answer. What a server quotes of a secret is found when the lines are shown
(`Transcript.lines`), also while the session runs. Of messages and other bulk data only the number
of octets is kept. The first and the last lines are kept, and counted what came between. Until a
server answers in its protocol, its lines are only counted: it may be another service (hazard W4).
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

from reconciler.model.harmless_text import escape
from reconciler.model.secret import REDACTED, Secret
from reconciler.model.secret_parts import SecretParts
from reconciler.model.session_dialogue import DialogueLine, Direction
from reconciler.replies.reply_meaning import decoded

LINES = 100
"""Lines that are kept of the beginning, and of the end."""
OCTETS = 16 << 10
"""Octets that the lines of the beginning may have, and those of the end."""
LENGTH = 300
"""Characters of a line that are shown."""
LISTED = 5
"""Lines of a listing that are kept; the others count as bulk data."""
_SIZE = re.compile(rb"\* \d{1,10} FETCH \([^\[{]{0,60}RFC822\.SIZE", re.IGNORECASE)
"""A line of an IMAP listing."""
KEPT = 800
"""Octets of a line that are kept until the session is over."""
_RESPONSES = 16
"""Answers to challenges, and proofs in them, that are found where a server quotes them."""
_RESPONSE = 12
"""Octets of the shortest answer to a challenge that is found."""
_LOGIN = re.compile(
    rb"((?:[A-Za-z0-9.]{1,20} )?(?:LOGIN|AUTHENTICATE(?: [\w-]{1,30})?|AUTH(?: [\w-]{1,30})?"
    rb"|PASS|APOP))(?: (.*))?",
    re.IGNORECASE | re.DOTALL,
)
"""A command that logs in: what may be shown of it, and its arguments."""
_ANSWER = re.compile(rb"\+OK|[-+]ERR|[245]\d\d|[A-Za-z0-9.]{1,20} (?:OK|NO|BAD)\b", re.IGNORECASE)
"""The beginning of a reply that ends a login."""
_PROOF = re.compile(rb"[0-9a-f]{32,}|(?<=,p=)[A-Za-z0-9+/=]{16,}")
"""What a response has of a digest or a proof, from which a password can be guessed. The server's
nonce in a response of SCRAM may have `p=` too, but no comma (RFC 5802, section 5.1)."""
_MAIL_SYSTEM = re.compile(rb"220[ -].*[SL]MTP|[45]\d\d[ -]", re.IGNORECASE)
_GREETINGS = {
    "imap": re.compile(rb"\s{0,9}\*\s{0,9}(?:OK|PREAUTH|BYE)\b", re.IGNORECASE),
    "pop3": re.compile(rb"\s{0,9}[-+](?:OK|ERR)", re.IGNORECASE),
    "smtp": _MAIL_SYSTEM,
    "lmtp": _MAIL_SYSTEM,
}
"""The start of a server's first line, by protocol."""
_GREETED = re.compile(rb"250[ -]")
"""The reply of a mail system to EHLO, HELO or LHLO."""
_REDACTED = REDACTED.encode()
_T = TypeVar("_T")
_Line = tuple[int, float, str, Direction, bytes]
"""A line: its number, seconds since the beginning, connection, direction and text."""


class Transcript:
    """The lines of one session, in the order in which they were said.

    One thread adds lines; any other may read them meanwhile.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: list[_Line] = []
        self._last: deque[_Line] = deque(maxlen=LINES)
        self._count = 0
        self._secrets: set[Secret] = set()
        self._responses: deque[bytes] = deque(maxlen=_RESPONSES)

    def connection(self, name: str) -> ConnectionTranscript:
        """Return what one more connection writes its lines to; `name` is its protocol."""
        return ConnectionTranscript(self, name)

    def hide(self, *secrets: Secret) -> None:
        """Hide these secrets wherever they occur."""
        self._secrets.update(secrets)

    def add(self, name: str, direction: Direction, text: bytes) -> None:
        """Keep a line of the connection `name`."""
        self._count += 1
        line = (self._count, time.monotonic() - self._began, name, direction, text[:KEPT])
        if len(self._first) < LINES:
            self._first.append(line)
        else:
            self._last.append(line)

    def hide_response(self, response: bytes) -> None:
        """Hide an answer to a challenge: in base64, as it was sent, and the proof that it has."""
        try:
            plain = base64.b64decode(response, validate=True)
        except binascii.Error:
            return  # the secret as it is
        if len(response) >= _RESPONSE:
            self._responses += [response, *_PROOF.findall(plain)]

    def lines(self) -> Iterator[DialogueLine]:
        """Yield the lines that were kept so far, without secrets, and harmless to show."""
        # In this order. Where there are last lines, the first ones are complete. A secret is known
        # before a line can have it.
        kept_last, kept_first = _copied(self._last), self._first.copy()
        parts = SecretParts(self._secrets.copy(), _copied(self._responses))
        count = next((number for number, *_ in (kept_last or kept_first)[-1:]), 0)
        first = [_shown(line, parts) for line in kept_first]
        last = [_shown(line, parts) for line in kept_last]
        if count == len(first) + len(last):
            first, last = [*first, *last], []
        begin = _fitting(first)
        end = _fitting((last or first[len(begin) :])[::-1])[::-1]
        yield from begin
        if left_out := count - len(begin) - len(end):
            yield DialogueLine(end[0].at, "", Direction.OMITTED, "", left_out)
        yield from end


class ConnectionTranscript:
    """What is said over one connection. It knows the commands that log in."""

    __slots__ = ("_in_login", "_known_by", "_listed", "_name", "_transcript", "octets")

    def __init__(self, transcript: Transcript, name: str) -> None:
        self._transcript = transcript
        self._name = name
        self._known_by = _GREETINGS.get(name)
        """The pattern of lines by which a server shows that it speaks this protocol; None once it
        has done so."""
        self._listed = 0
        """The number of listing lines received since the last other line; see `LISTED`."""
        self._in_login = False
        """Whether a login was sent whose answer has not come."""
        self.octets = 0
        """Octets of bulk data that were received since the last line."""

    def sent(self, data: bytes) -> None:
        """Keep the lines of a command."""
        self._count_bulk()
        for line in data.removesuffix(b"\r\n").split(b"\r\n"):
            self._transcript.add(self._name, Direction.SENT, self._without_login(line))

    def sent_bulk(self, octets: int) -> None:
        """Keep that a message was sent, or a part of it."""
        self._transcript.add(self._name, Direction.SENT, b"[%s]" % _bytes(octets))

    def received(self, line: bytes) -> None:
        """Keep a line of the server."""
        if self._known_by is not None:
            line = self._without_strangers(line, self._known_by)
        if self.octets and not (self._listed >= LISTED and _SIZE.match(line)):
            self._count_bulk()
        if self._in_login:
            line = self._without_challenge(line)
        self._listed = self._listed + 1 if _SIZE.match(line) else 0
        if self._listed > LISTED:
            self.octets += len(line)
            return
        self._transcript.add(self._name, Direction.RECEIVED, line.rstrip(b"\r\n"))

    def received_around(self, opening: bytes, octets: int, closing: bytes) -> None:
        """Keep a reply that has bulk data in it."""
        self.received(
            b"%s [%s]%s" % (opening.rstrip(b"\r\n"), _bytes(octets), closing.rstrip(b"\r\n"))
        )

    def received_lines(self, lines: bytes, most: int) -> None:
        """Keep the first lines of a listing; the others count as bulk data, and so do those that
        follow before anything else is said."""
        if self.octets:
            self.octets += len(lines)
            return
        *whole, rest = lines.split(b"\n", most)
        for line in whole:
            self.received(line)
        self.octets = len(rest)

    def note(self, text: str) -> None:
        """Keep what happened to the connection."""
        self._count_bulk()
        self._transcript.add(self._name, Direction.NOTE, text.encode("utf-8", "backslashreplace"))

    def _count_bulk(self) -> None:
        if self.octets:
            octets, self.octets = self.octets, 0
            self._transcript.add(self._name, Direction.RECEIVED, b"[%s]" % _bytes(octets))

    def _without_strangers(self, line: bytes, known_by: re.Pattern[bytes]) -> bytes:
        """Return the line, or what stands for the words of a server that may be something else."""
        if known_by.match(line):
            self._known_by = None
            return line
        if known_by is _MAIL_SYSTEM:  # many greet without the name of their protocol
            self._known_by = _GREETED
        return b"[%s that may not be %s]" % (_bytes(len(line)), self._name.upper().encode())

    def _without_login(self, line: bytes) -> bytes:
        if self._in_login:
            self._transcript.hide_response(line)
            return _REDACTED
        login = _LOGIN.fullmatch(line)
        if login is None:
            return line
        self._in_login = True
        command, arguments = login.groups()
        if arguments is None:
            return line
        self._transcript.hide_response(arguments)
        return b"%s %s" % (command, _REDACTED)

    def _without_challenge(self, line: bytes) -> bytes:
        if _ANSWER.match(line):
            self._in_login = False
        elif line.startswith((b"+", b"334")):
            return line[: 1 if line.startswith(b"+") else 3] + b" " + _REDACTED
        return line


def _copied(lines: deque[_T]) -> list[_T]:
    while True:
        with suppress(RuntimeError):  # one was added meanwhile
            return list(lines)


def _bytes(octets: int) -> bytes:
    return b"1 byte" if octets == 1 else f"{octets:,} bytes".encode()


def _shown(line: _Line, parts: SecretParts) -> DialogueLine:
    _, at, name, direction, text = line
    shown = escape(decoded(parts.hide(text)))
    if len(shown) > LENGTH:
        shown = shown[:LENGTH] + "…"
    return DialogueLine(round(at, 3), name, direction, shown)


def _fitting(lines: list[DialogueLine]) -> list[DialogueLine]:
    """Return the lines from the first one on that have no more than `OCTETS`."""
    octets = 0
    for number, line in enumerate(lines):
        octets += len(line.text.encode("utf-8", "replace"))
        if octets > OCTETS:
            return lines[:number]
    return lines
