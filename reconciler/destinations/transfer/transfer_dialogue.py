"""One connection to a mail system: greeting, extensions, one transaction after another."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler.destinations.transfer.transfer_reply import TransferReply, read_reply
from reconciler.model.errors import (
    ConnectionFailed,
    DestinationUnavailable,
    ProtocolViolation,
    TlsRefused,
)
from reconciler.model.secret import Secret
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint

LIMITS = Limits(silence=300.0, command=600.0, session=86400.0)
"""RFC 5321, section 4.5.3.2: five minutes for most replies, ten for the one after the message. The
session that delivers has a deadline of its own."""
WIRE = (ConnectionFailed, ProtocolViolation, TlsRefused)
_CLOSING = 421
_ONE_MORE = 10.0
"""Seconds that the second recipient's answer is waited for, where the first may have been
everybody's."""
_UNKNOWN_VERB = (500, 502)
_KEYWORD = re.compile("[ =]")  # some say AUTH=LOGIN, as a draft of RFC 2554 did


class Closing(DestinationUnavailable):
    """The server says that it closes the connection (421)."""


class Protocol(Struct, frozen=True):
    """`greeting` is the verb; `older`: the one for servers that do not know it; `each`: the server
    answers for each recipient after the message (RFC 2033, 4.2). `otherwise` is told of a server
    that knows neither verb."""

    name: str
    greeting: str
    older: str
    each: bool
    otherwise: str


LMTP = Protocol(
    "LMTP", "LHLO", "", each=True, otherwise="If it speaks SMTP, write `smtp` instead of `lmtp`."
)
SMTP = Protocol(
    "SMTP",
    "EHLO",
    "HELO",
    each=False,
    otherwise="If it speaks LMTP, write `lmtp` instead of `smtp`.",
)
Prepare = Callable[["TransferDialogue"], None]
"""What comes between the greeting and the first message: STARTTLS, AUTH."""


class Transaction(Struct, frozen=True):
    """Everything but the message: `parameters` of MAIL; `sender` and `recipients` as they go onto
    the wire."""

    sender: str
    parameters: str
    recipients: Sequence[str]

    @property
    def mail(self) -> str:
        return f"MAIL FROM:<{self.sender}>{self.parameters}"


class TransferDialogue:
    """Every method may raise a `SourceError` of the wire, or `Closing` when the server says that it
    closes (421). After either the connection is of no use."""

    def __init__(self, protocol: Protocol, endpoint: Endpoint, limits: Limits = LIMITS) -> None:
        self.protocol = protocol
        self.connection = Connection(endpoint, limits)
        self.extensions: Mapping[str, str] = {}
        """Keyword in upper case → its parameters (RFC 5321, section 4.1.1.1)."""
        self.secrets: tuple[Secret, ...] = ()
        """What no text may quote."""
        self.over = False
        """Server and we may be out of step: nothing more is to be said here."""
        self.answers_once = False
        """It fell silent after an answer, though more recipients wait for theirs."""
        self.transactions = 0
        """How many have begun; some servers take no more after a number of them."""

    def open(self, prepare: Prepare) -> None:
        """Connect, greet, and make ready."""
        self.connection.open()
        self._expect(read_reply(self.connection, self.secrets), "connections")
        self.greet()
        prepare(self)

    def greet(self) -> None:
        """Say who we are and learn the extensions; again after TLS began, for then the earlier ones
        do not count. A server that refuses EHLO is greeted with HELO, and has none (RFC 5321,
        section 3.2)."""
        name = self._own_name()
        reply = self.ask(f"{self.protocol.greeting} {name}")
        if reply.refused and self.protocol.older:
            self._expect(self.ask(f"{self.protocol.older} {name}"), f"{self.protocol.older} {name}")
            self.extensions = {}
            return
        parted = [
            _KEYWORD.split(line, 1)
            for line in self._expect(reply, f"{self.protocol.greeting} {name}").lines[1:]
        ]
        self.extensions = {keyword.upper(): " ".join(parameters) for keyword, *parameters in parted}

    def ask(self, command: str) -> TransferReply:
        """One command, one reply."""
        return next(self._ask_all([command]))

    def is_stale(self) -> bool:
        """Something came without being asked for: the end of the connection, a 421, or a reply too
        many."""
        if self.over or self.connection.buffered() or self.connection.socket.fileno() < 0:
            return True
        return self._more(0)

    def begin(self, transaction: Transaction) -> tuple[TransferReply, list[TransferReply]]:
        """MAIL and every RCPT: the reply to MAIL, and one for each recipient, which is MAIL's own
        where that failed."""
        self.transactions += 1
        commands = [
            transaction.mail,
            *(f"RCPT TO:<{recipient}>" for recipient in transaction.recipients),
        ]
        replies = self._ask_all(commands)
        mail = next(replies)
        recipients = list(replies) if mail.done or self._pipelines else []
        if not mail.done:
            recipients = [mail] * len(transaction.recipients)
        return mail, recipients

    def recipient(self, recipient: str) -> TransferReply:
        """One more, of the same transaction."""
        return self.ask(f"RCPT TO:<{recipient}>")

    def data(self) -> TransferReply:
        return self.ask("DATA")

    def send(self, octets: Iterable[bytes]) -> None:
        """The message and the dot that ends it."""
        held = b""
        for chunk in octets:
            self.connection.begin_command()
            self.connection.send(held)
            held = chunk
        self.connection.send(held + b".\r\n")  # a short message in one piece

    def replies(self, count: int) -> Iterator[TransferReply]:
        """What is said of the message: as many replies as the protocol gives for so many accepted
        recipients. Some LMTP servers (Perl's Net::Server::Mail) answer once, with a line for each:
        nothing more comes from them then, and whom the lines are about is not known for certain.
        That is a `ConnectionFailed`."""
        for number in range(count if self.protocol.each else 1):
            reply = read_reply(self.connection, self.secrets)
            self.over = self.over or reply.code == _CLOSING
            yield reply
            if (
                number == 0
                and self.protocol.each
                and len(reply.lines) == count > 1
                and not self._more(_ONE_MORE)
            ):
                raise ConnectionFailed(
                    f"{self.connection.endpoint}: one answer for {count} recipients: {reply}"
                )

    def last_words(self) -> TransferReply | None:
        """What the server had said when it closed the connection under a message, None where it did
        not."""
        self.over = True
        try:
            return read_reply(self.connection, self.secrets) if self._more(0) else None
        except WIRE:
            return None

    def reset(self) -> None:
        """Leave a transaction (RFC 5321, section 4.1.1.5)."""
        try:
            self.over = self.over or not self.ask("RSET").done
        except (*WIRE, DestinationUnavailable):
            self.over = True  # what was answered before still holds

    def quit(self) -> None:
        """Take leave without waiting for the answer, and close."""
        try:
            self.connection.send(b"QUIT\r\n")
        except WIRE:
            return  # it has gone already
        finally:
            self.connection.close()

    def _more(self, seconds: float) -> bool:
        """Whether something comes within that time."""
        if self.connection.buffered():
            return True
        poll = select.poll()
        poll.register(self.connection.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    @property
    def _pipelines(self) -> bool:
        return "PIPELINING" in self.extensions

    def _ask_all(self, commands: Sequence[str]) -> Iterator[TransferReply]:
        """Replies in the order of the commands, which go together where the server offers
        PIPELINING (RFC 2920)."""
        if self._pipelines:
            self._send(*commands)
            for _ in commands:
                yield self._open_reply()
            return
        for command in commands:
            self._send(command)
            yield self._open_reply()

    def _send(self, *commands: str) -> None:
        self.connection.begin_command()
        self.connection.send("".join(f"{command}\r\n" for command in commands).encode())

    def _open_reply(self) -> TransferReply:
        reply = read_reply(self.connection, self.secrets)
        if reply.code == _CLOSING:
            raise Closing(
                f"{self.connection.endpoint}: the server takes nothing now: {reply.explained}",
                retry_after=reply.wait,
                advice=reply.advice,
            )
        return reply

    def _expect(self, reply: TransferReply, what: str) -> TransferReply:
        if not reply.done:
            hint = f". {self.protocol.otherwise}" if reply.code in _UNKNOWN_VERB else ""
            raise self.unavailable(f"refuses {what}", reply, hint)
        return reply

    def unavailable(
        self, what: str, reply: TransferReply, hint: str = "", *, at_message: bool = False
    ) -> DestinationUnavailable:
        """The error that a reply is which concerns everybody."""
        error = DestinationUnavailable(
            f"{self.connection.endpoint}: {what}: {reply.explained}{hint}",
            retry_after=reply.wait,
            advice=reply.advice,
        )
        error.at_message = at_message
        return error

    def _own_name(self) -> str:
        """RFC 5321, section 4.1.4: the host's full name, else the address that the server sees."""
        name = socket.gethostname()
        if "." in name and name.isascii():
            return name
        address = self.connection.socket.getsockname()
        if not isinstance(address, tuple):
            return "localhost"
        literal = address[0].partition("%")[0]
        return f"[IPv6:{literal}]" if ":" in literal else f"[{literal}]"
