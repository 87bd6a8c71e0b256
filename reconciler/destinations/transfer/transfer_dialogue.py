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
from reconciler.model.secret_parts import SecretParts
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.transcript import Transcript

LIMITS = Limits(silence=300.0, command=600.0, session=86400.0)
"""RFC 5321, section 4.5.3.2: five minutes for most replies, ten for the one after the message. The
session that delivers has a deadline of its own."""
WIRE = (ConnectionFailed, ProtocolViolation, TlsRefused)
"""Errors of the connection."""
_CLOSING = 421
_ONE_MORE = 10.0
"""Seconds to wait for the second recipient's reply, where the first one may be for all of them."""
_UNKNOWN_VERB = (500, 502)
_KEYWORD = re.compile("[ =]")
"""Ends an extension's keyword. Some servers send AUTH=LOGIN, as a draft of RFC 2554 had it."""


class ServerCloses(DestinationUnavailable):
    """The server announces that it closes the connection (421)."""


class Protocol(Struct, frozen=True):
    """LMTP or SMTP: their differences."""

    name: str
    greeting: str
    """The verb of the greeting."""
    older: str
    """The verb for servers that do not know the first one; empty: none."""
    each: bool
    """Whether there is a reply for each recipient after the message (RFC 2033, section 4.2)."""
    otherwise: str
    """The advice for a server that knows neither verb."""


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
"""Takes the steps between the greeting and the first message: STARTTLS, AUTH."""


class Transaction(Struct, frozen=True):
    """The commands before a message."""

    sender: str
    """The sender as it is sent."""
    parameters: str
    """The parameters of MAIL, each with a space before it."""
    recipients: Sequence[str]
    """The recipients as they are sent."""

    @property
    def mail(self) -> str:
        return f"MAIL FROM:<{self.sender}>{self.parameters}"


class TransferDialogue:
    """A connection to a mail system, from the greeting to QUIT.

    Any method may raise an error of `WIRE`, or ServerCloses. After either, the connection cannot be
    used.
    """

    def __init__(
        self,
        protocol: Protocol,
        endpoint: Endpoint,
        limits: Limits = LIMITS,
        transcript: Transcript | None = None,
    ) -> None:
        """`transcript` keeps what is said, without the messages."""
        self.protocol = protocol
        self._transcript = transcript or Transcript()
        self.connection = Connection(
            endpoint, limits, transcript=self._transcript.connection(protocol.name.lower())
        )
        self.extensions: Mapping[str, str] = {}
        """Parameters by keyword in upper case (RFC 5321, section 4.1.1.1)."""
        self.secrets = SecretParts(())
        """The secrets of which no text may quote a part."""
        self.over = False
        """Whether commands and replies may no longer match, so that nothing more may be sent."""
        self.answers_once = False
        """Whether the server sent one reply for several recipients."""
        self.transactions = 0
        """The number of transactions that have begun. Some servers take only so many over one
        connection."""

    def hide(self, *secrets: Secret) -> None:
        """Quote these secrets in no text, and keep them in no transcript."""
        self.secrets = SecretParts(secrets)
        self._transcript.hide(*secrets)

    def shown_extensions(self) -> str:
        """Return the keywords of the server's extensions, without parts of secrets."""
        keywords = ", ".join(sorted(self.extensions)).encode()
        return self.secrets.hide(keywords).decode("utf-8", "replace")

    def open(self, prepare: Prepare) -> None:
        """Connect, greet, and call `prepare`. Raises DestinationUnavailable where the server
        refuses that."""
        self.connection.open()
        self._expect(read_reply(self.connection, self.secrets), "connections")
        self.greet()
        prepare(self)

    def greet(self) -> None:
        """Send the greeting, and learn the server's extensions. After TLS has begun this is done
        again, for the earlier extensions no longer count.

        A server that refuses EHLO is greeted with HELO, and has no extensions (RFC 5321, section
        3.2).
        """
        name = self._own_name()
        reply = self.ask(f"{self.protocol.greeting} {name}")
        if reply.refused and self.protocol.older:
            self._expect(self.ask(f"{self.protocol.older} {name}"), f"{self.protocol.older} {name}")
            self.extensions = {}
            return
        parted = [
            _KEYWORD.split(line, 1)
            for line in self._expect(reply, f"{self.protocol.greeting} {name}").unredacted[1:]
        ]
        self.extensions = {keyword.upper(): " ".join(parameters) for keyword, *parameters in parted}

    def ask(self, command: str) -> TransferReply:
        """Send a command, and return its reply."""
        return next(self._ask_all([command]))

    def is_stale(self) -> bool:
        """Return whether the connection should not be used again. That is so where anything came
        without a command: its end, a 421, or a superfluous reply."""
        if self.over or self.connection.buffered() or self.connection.socket.fileno() < 0:
            return True
        return self._more(0)

    def begin(self, transaction: Transaction) -> tuple[TransferReply, list[TransferReply]]:
        """Send MAIL and each RCPT. Return the reply to MAIL, and a reply for each recipient, which
        is MAIL's where that failed."""
        self.transactions += 1
        commands = [
            transaction.mail,
            *(f"RCPT TO:<{recipient}>" for recipient in transaction.recipients),
        ]
        replies = self._ask_all(commands)
        mail = next(replies)
        recipients = list(replies) if mail.succeeded or self._pipelines else []
        if not mail.succeeded:
            recipients = [mail] * len(transaction.recipients)
        return mail, recipients

    def recipient(self, recipient: str) -> TransferReply:
        """Send a further RCPT of the same transaction."""
        return self.ask(f"RCPT TO:<{recipient}>")

    def data(self) -> TransferReply:
        """Send DATA."""
        return self.ask("DATA")

    def send(self, octets: Iterable[bytes]) -> None:
        """Send the message, and the dot that ends it."""
        held = b""
        for chunk in octets:
            self.connection.begin_command()
            self.connection.send(held, message=True)
            held = chunk
        self.connection.send(held + b".\r\n", message=True)  # a short message in one piece

    def replies(self, count: int) -> Iterator[TransferReply]:
        """Yield the replies to the message: one for each of `count` accepted recipients by LMTP,
        one by SMTP.

        Some LMTP servers (Perl's Net::Server::Mail) send one reply with a line for each recipient.
        Nothing more comes from them, and it is not certain which line is whose. Raises
        ConnectionFailed then.
        """
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

    def final_reply(self) -> TransferReply | None:
        """Return the reply that the server sent before it closed the connection during a message;
        None where there is none."""
        self.over = True
        try:
            return read_reply(self.connection, self.secrets) if self._more(0) else None
        except WIRE:
            return None

    def reset(self) -> None:
        """End a transaction (RFC 5321, section 4.1.1.5)."""
        try:
            self.over = self.over or not self.ask("RSET").succeeded
        except (*WIRE, DestinationUnavailable):
            self.over = True  # the earlier replies still hold

    def quit(self) -> None:
        """Send QUIT, and close without waiting for the reply."""
        try:
            self.connection.send(b"QUIT\r\n")
        except WIRE:
            return  # the server has closed it already
        finally:
            self.connection.close()

    def _more(self, seconds: float) -> bool:
        """Return whether anything can be read within that time."""
        if self.connection.buffered():
            return True
        poll = select.poll()
        poll.register(self.connection.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    @property
    def _pipelines(self) -> bool:
        return "PIPELINING" in self.extensions

    def _ask_all(self, commands: Sequence[str]) -> Iterator[TransferReply]:
        """Send commands, at once where the server offers PIPELINING (RFC 2920). Yield their replies
        in the same order."""
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
            raise ServerCloses(
                f"{self.connection.endpoint}: the server takes nothing now: {reply.explained}",
                retry_after=reply.wait,
                advice=reply.advice,
            )
        return reply

    def _expect(self, reply: TransferReply, what: str) -> TransferReply:
        """Return a positive reply. Raises DestinationUnavailable for others.

        A server that does not know the basic commands of a mail system is not quoted: it may be
        another service (hazard W4).
        """
        if reply.succeeded:
            return reply
        if reply.code in _UNKNOWN_VERB:
            raise DestinationUnavailable(
                f"{self.connection.endpoint}: refuses {what} with {reply.code}, as no "
                f"{self.protocol.name} server does. {self.protocol.otherwise}"
            )
        raise self.unavailable(f"refuses {what}", reply)

    def unavailable(
        self, what: str, reply: TransferReply, *, at_message: bool = False
    ) -> DestinationUnavailable:
        """Return the error for a reply that concerns all messages."""
        error = DestinationUnavailable(
            f"{self.connection.endpoint}: {what}: {reply.explained}",
            retry_after=reply.wait,
            advice=reply.advice,
        )
        error.at_message = at_message
        return error

    def _own_name(self) -> str:
        """Return the host's full name, else the address that the server sees (RFC 5321, section
        4.1.4)."""
        name = socket.gethostname()
        if "." in name and name.isascii():
            return name
        address = self.connection.socket.getsockname()
        if not isinstance(address, tuple):
            return "localhost"
        literal = address[0].partition("%")[0]
        return f"[IPv6:{literal}]" if ":" in literal else f"[{literal}]"
