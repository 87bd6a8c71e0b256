"""POP3 commands and replies, CAPA, and what a refusal means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from reconciler.model.errors import ConnectionFailed, NoGreeting, ProtocolViolation, SourceError
from reconciler.model.harmless_text import one_line
from reconciler.model.secret import Secret
from reconciler.model.secret_parts import foreign_words
from reconciler.replies.refusals import refusal
from reconciler.replies.reply_meaning import decoded
from reconciler.sources.pop3.multiline_body import MultilineBody
from reconciler.wire.connection import Connection
from reconciler.wire.transcript import LISTED

_SHOWN = 300
_CAPABILITIES = 64 << 10
"""Octets of the reply to CAPA."""
_SHOWN_CAPABILITIES = 40
_CODE = re.compile(rb"\[([A-Za-z/-]+)(?:[ =](\d{1,6}))?\]")
_STATUS = re.compile(
    rb"(\+OK|[-+]ERR(?:OR)?)(?![A-Za-z0-9])[ \t:,;.!]*(.*)", re.IGNORECASE | re.DOTALL
)
"""The start of a status line. hMailServer sent +ERR for a while (its pull request 594)."""
_EMPTY = 10
"""Empty lines in a row."""
_GARBAGE = "the server does not answer as POP3 does"


class Pop3Reply(Struct, frozen=True):
    """A status line (RFC 1939, section 3); `rest` is what follows +OK or -ERR."""

    ok: bool
    rest: bytes

    @property
    def code(self) -> str:
        """The response code (RFC 2449, section 8; RFC 3206) in capitals, or ""."""
        found = _CODE.match(self.rest)
        return found[1].decode().upper() if found else ""

    @property
    def text(self) -> str:
        return decoded(self.rest)


class Capabilities(Struct, frozen=True):
    """The reply to CAPA (RFC 2449).

    `known` is False where the server does not have the command: then it may be able to do anything.
    """

    known: bool = False
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each capability with its arguments, in capitals."""

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> Capabilities:
        words = [line.decode("ascii", "replace").upper().split() for line in lines]
        return cls(True, {first: tuple(rest) for first, *rest in filter(None, words)})

    def __contains__(self, name: str) -> bool:
        return name in self.offered

    @property
    def sasl(self) -> tuple[str, ...]:
        return self.offered.get("SASL", ())

    @property
    def login_delay(self) -> float | None:
        """Seconds that have to pass between two logins."""
        seconds = next(iter(self.offered.get("LOGIN-DELAY", ())), "")
        return float(seconds) if seconds.isdecimal() and len(seconds) <= 6 else None


class Pop3Dialogue:
    """The client's side of a POP3 conversation.

    Replies come in the order of the commands, which allows for pipelining.
    """

    def __init__(
        self,
        connection: Connection,
        secrets: Sequence[Secret],
        disordered: Callable[[], None] = lambda: None,
    ) -> None:
        """`disordered` is called when replies to pipelined commands are mixed up."""
        self.connection = connection
        self.disordered = disordered
        self.secrets = secrets
        """Secrets to remove from every text of the server that is shown (hazard S1)."""
        self.in_order = False
        """Whether replies to pipelined commands came one after the other."""
        self.owed = 0
        """The number of commands whose replies were not read to their end yet."""
        self._refusal: Pop3Reply | None = None
        """The last reply if it was a refusal, else None."""

    def greeting(self) -> Pop3Reply:
        """Connect and read the first line.

        Raises `NoGreeting` where the server closes instead (hazard P16).
        """
        try:
            self.connection.open()
            self.owed += 1
            reply = self.reply()
        except ConnectionFailed as error:
            if self.connection.ended and not self.connection.received:
                raise NoGreeting(
                    f"{self.connection.endpoint}: the server closed the connection before its "
                    "greeting"
                ) from error
            raise
        self.owed -= 1
        return reply

    def send(self, *commands: bytes) -> None:
        """Send commands, whose replies are `owed` from now on."""
        self.connection.begin_command()
        try:
            self.connection.send(b"".join([command + b"\r\n" for command in commands]))
        except ConnectionFailed as error:
            raise self._with_words(error) from None
        self.owed += len(commands)

    def command(self, command: bytes) -> Pop3Reply:
        """Send a command and read its reply of one line."""
        self.send(command)
        return self.answer()

    def answer(self) -> Pop3Reply:
        """Read a reply of one line."""
        reply = self.reply()
        self.owed -= 1
        return reply

    def reply(self) -> Pop3Reply:
        """Read a status line, which a body may follow.

        The caller decrements `owed` after it has read the body as well.
        """
        reply = self.challenge()
        if isinstance(reply, bytes):
            raise ProtocolViolation(f"{self.connection.endpoint}: {_GARBAGE}")
        return reply

    def challenge(self) -> Pop3Reply | bytes:
        """Read a status line, or return what follows "+ ": a challenge of AUTH (RFC 5034)."""
        self.connection.begin_command()
        line = self._line()
        if line.startswith(b"+OK "):
            self._refusal = None
            return Pop3Reply(True, line[4:].strip())
        for _ in range(_EMPTY):  # some servers send empty lines, or spaces first
            if line := line.lstrip():
                break
            line = self._line()
        if status := _STATUS.match(line):
            reply = Pop3Reply(status[1].upper() == b"+OK", status[2].strip())
            self._refusal = None if reply.ok else reply
            if not reply.ok and reply.code.startswith(
                "SYS/"
            ):  # RFC 3206: of the system, for people
                self.connection.alert(self.quote(reply))
            return reply
        if line.startswith(b"+") and line[1:2] in b" \r":
            return line[1:].strip()
        raise ProtocolViolation(f"{self.connection.endpoint}: {_GARBAGE}")

    def _line(self) -> bytes:
        try:
            return self.connection.read_line()
        except ConnectionFailed as error:
            if not self.connection.ended:
                raise
            raise self._with_words(error) from None

    def _with_words(self, error: ConnectionFailed) -> ConnectionFailed:
        """Add the refusal before the end of the connection to the error.

        Dovecot, for one, says after its +OK to the login what is wrong with the maildrop, and
        closes.
        """
        if self._refusal is None:
            return error
        explained = ConnectionFailed(f"{error}, after it said: {self.quote(self._refusal)}")
        explained.abrupt = error.abrupt
        return explained

    def lines(
        self, take: Callable[[bytes], object], bound: int | None = None, *, kept: int = LISTED
    ) -> tuple[Pop3Reply, str]:
        """Read a reply; give its lines, with their ends, to `take` as they come, many at a time.

        Returns the reply and the SHA-256 of the lines in hex ("" for -ERR). The lines may have
        `bound` octets, default `limits.maildrop`. A transcript keeps the first `kept` lines.
        """
        reply = self.reply()
        digest = hashlib.sha256()
        rest, began = b"", False
        for piece in self._bounded(bound or self.connection.limits.maildrop) if reply.ok else ():
            digest.update(piece)
            whole, end, last = piece.rpartition(b"\n")
            block, rest = (rest + whole + end, last) if end else (b"", rest + piece)
            if len(rest) > self.connection.limits.long_line:
                raise ProtocolViolation(
                    f"{self.connection.endpoint}: a line is longer than "
                    f"{self.connection.limits.long_line} octets"
                )
            if block and not began:
                self.connection.keep_lines(block, kept, taken=True)
                began = True
            if block:
                take(block)
        self.owed -= 1
        return reply, digest.hexdigest() if reply.ok else ""

    def ask_capabilities(self) -> Capabilities:
        """Send CAPA and return what it names; nothing is known where it is refused."""
        self.send(b"CAPA")
        return self.capabilities() or Capabilities()

    def capabilities(self) -> Capabilities | None:
        """Read the reply to CAPA; None where it is refused."""
        blocks: list[bytes] = []
        reply, _ = self.lines(blocks.append, _CAPABILITIES, kept=_SHOWN_CAPABILITIES)
        return Capabilities.parse(b"".join(blocks).split(b"\n")) if reply.ok else None

    def digest(self) -> str:
        """Read a reply and return the SHA-256 of its lines in hex, "" for -ERR."""
        return self.lines(len)[1]

    def _bounded(self, bound: int) -> Iterator[bytes]:
        self.connection.expect_listing(octets=bound)
        body = MultilineBody(self.connection, others=self.owed > 1)
        for piece in body:
            yield piece
            if body.octets > bound:
                raise ProtocolViolation(
                    f"{self.connection.endpoint}: a reply is longer than {bound} octets"
                )
            self.connection.count(len(piece))

    def quote(self, reply: Pop3Reply) -> str:
        """Return what the server said on one line of limited length, secrets removed."""
        text = foreign_words(reply.text, self.secrets, _SHOWN)
        return one_line(text, "?") or "no reason given"

    def refusal(
        self, reply: Pop3Reply, what: str, *, login_delay: float | None = None
    ) -> SourceError | None:
        """Return the error that a refusal stands for; None where its meaning is not known."""
        text = f"{self.connection.endpoint}: {what}: {self.quote(reply)}"
        error = refusal(
            text,
            reply.text,
            reply.code,
            host=self.connection.endpoint.host,
            protocol="pop3",
            provider=self.connection.endpoint.provider,
        )
        if error is not None and reply.code == "LOGIN-DELAY" and error.retry_after is None:
            error.retry_after = login_delay
        return error
