"""IDLE (RFC 2177): a connection on which the server reports new mail.

It reports mail in the first declared folder, or in all of them where the server offers NOTIFY (RFC
5465). The login blocks, as in a session. After it nothing blocks, and only a socket, a count and
half a line are kept besides a bounded transcript, so thousands of connections wait in one thread.
Errors and the transcript quote no text that the server says after the login, as the secrets to be
removed from it are not kept.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable
from enum import Enum

from reconciler.model.errors import (
    ConnectionFailed,
    ProtocolViolation,
    SourceError,
    SourceUnsuitable,
)
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.imap.folder_choice import INBOX, ServerFolder, choose_folders
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_listing import selected_count
from reconciler.sources.imap.imap_login import log_in
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.imap_strings import quoted
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.push_transcripts import PushTranscript, PushTranscripts
from reconciler.wire.sasl import Credentials

_COUNT = re.compile(rb"\* (\d{1,10}) (EXISTS|EXPUNGE)", re.IGNORECASE)
_STATUS = re.compile(rb"\* STATUS (.+) \(([^()]*)\)", re.IGNORECASE | re.DOTALL)
_NEXT = re.compile(rb"\bUIDNEXT (\d{1,10})\b", re.IGNORECASE)
_LITERAL = re.compile(rb"\* STATUS \{\d{1,4}\}", re.IGNORECASE)
_SHOWN = re.compile(
    rb"\* \d{1,10} (?:EXISTS|EXPUNGE|RECENT|FETCH)\b|\* (?:OK|NO|BAD|BYE|STATUS)\b|\+|IDLE OK\b",
    re.IGNORECASE,
)
"""The beginning of a line: what the transcript shows of it."""
_TAG = b"IDLE"
_PIECE = 4 << 10
_AT_ONCE = 2
"""Pieces that are read before it is another connection's turn."""
_LONGEST = 64 << 10
"""Octets of the longest line; lines during IDLE are short."""
_FLOOD = 256 << 10
"""Octets that may come between two renewals (hazard I18)."""
_COMMAND = 8000
"""Octets of a command's line that every server accepts (RFC 7162, section 4)."""
_NAMES = 1000
"""Folders that are remembered at once."""


class _Step(Enum):
    ASKED = "IDLE was sent"
    IDLE = "the server agreed"
    DONE = "DONE was sent"


class ImapPush:
    """A connection with IDLE; `model.interfaces.Push`.

    `begin` may run in any thread, and `abort` in another one meanwhile. All else runs in one
    thread.
    """

    __slots__ = (
        "_connection",
        "_count",
        "_endpoint",
        "_half",
        "_identity",
        "_lines",
        "_literal",
        "_memory",
        "_news",
        "_next",
        "_octets",
        "_opening",
        "_socket",
        "_step",
        "_transcript",
        "closed",
        "lost",
    )

    def __init__(
        self,
        spec: SourceSpec,
        secret: Secret,
        limits: Limits,
        memories: AccountMemories,
        identity: ClientIdentity,
        transcript: PushTranscript,
    ) -> None:
        self.closed: Callable[[], None] = lambda: None
        """Called when the connection is closed."""
        self.lost: Callable[[SourceError], None] = lambda _: None
        """Called before that where the connection has become unusable, with the reason."""
        endpoint = Endpoint.of(spec)
        self._endpoint = str(endpoint)
        self._memory = memories.of("imap", spec.username, endpoint)
        self._identity = identity
        self._opening: tuple[SourceSpec, Secret] | None = (spec, secret)
        self._transcript = transcript
        self._lines = transcript.connection("imap")
        self._connection: Connection | None = Connection(endpoint, limits, transcript=self._lines)
        self._half = self._literal = b""
        self._count = self._octets = 0
        self._next: dict[bytes, int] = {}
        """UIDNEXT of the other folders, by their names as octets of the server."""
        self._news = False
        self._step = _Step.ASKED

    def begin(self) -> None:
        """See `model.interfaces.Push`; the limits of a session apply."""
        assert self._opening is not None  # noqa: S101  # called once
        assert self._connection is not None  # noqa: S101
        (spec, secret), connection, self._opening = self._opening, self._connection, None
        credentials = Credentials(spec.username, secret, token=spec.oauth2 is not None)
        self._transcript.hide(*credentials.forms())
        failures = ImapRefusals(connection.endpoint, credentials.forms())
        client = log_in(connection, failures, credentials, self._memory, self._identity)
        with failures.translated("asking to be told of new mail"):
            if "IDLE" not in client.dialogue.capabilities:
                raise SourceUnsuitable(
                    f"{self._endpoint}: the server does not offer IDLE, so it cannot push"
                )
            first, *others = _folders(client, spec, failures)
            completed = client.dialogue.select_folder(first.raw, writable=False)
            if not completed.ok:
                raise failures.refused("opening the folder to be told about", completed.text)
            self._count = selected_count(client.dialogue) or 0
            if others and "NOTIFY" in client.dialogue.capabilities:
                # Its refusal does not matter: then only IDLE reports mail.
                client.dialogue.run("NOTIFY", _notify(folder.raw for folder in others))
        connection.begin_command()
        connection.send(_TAG + b" IDLE\r\n")
        while self._step is _Step.ASKED:
            self._take_line(connection.read_line()[:-2])
        self._socket = connection.socket
        self._socket.setblocking(False)
        self._transcript.forget_secrets()
        buffered = connection.take(connection.buffered())
        self._lines.octets = 0  # they are lines, not bulk data
        self._take(buffered)
        self._connection = None

    def abort(self) -> None:
        if (connection := self._connection) is not None:
            connection.abort()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def listening(self) -> bool:
        return self._step is _Step.IDLE

    def take(self) -> bool:
        """See `model.interfaces.Push`."""
        read = 0
        try:
            while data := self._socket.recv(_PIECE):
                self._take(data)
                read += 1
                if read >= _AT_ONCE and not self._decrypted:
                    return self._rung()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return self._rung()
        except OSError as error:
            raise ConnectionFailed(
                f"{self._endpoint}: the connection broke while it waited for mail: "
                f"{error.strerror or error}"
            ) from error
        raise ConnectionFailed(
            f"{self._endpoint}: the server closed the connection that waited for mail"
        )

    def _rung(self) -> bool:
        news, self._news = self._news, False
        return news

    @property
    def _decrypted(self) -> bool:
        """Whether TLS holds decrypted octets, at most one record, which no selector sees."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def renew(self) -> None:
        """Send DONE; IDLE is sent again when the server has answered."""
        self._octets = 0
        self._step = _Step.DONE
        self._send(b"DONE\r\n")

    def close(self) -> None:
        """Close without LOGOUT; harmless where it is closed already or was never opened."""
        if self._connection is not None:
            self._connection.abort()
        elif self._opening is None:
            self._socket.close()
        self.closed()

    def _send(self, line: bytes) -> None:
        self._lines.sent(line)
        try:
            # A few octets; where they do not fit, the server does not read any more.
            self._socket.sendall(line)
        except OSError as error:
            raise ConnectionFailed(
                f"{self._endpoint}: the connection broke while it waited for mail: "
                f"{error.strerror or error}"
            ) from error

    def _take(self, data: bytes) -> None:
        self._octets += len(data)
        *lines, self._half = (self._half + data).split(b"\n")
        if len(self._half) > _LONGEST or self._octets > _FLOOD:
            raise ProtocolViolation(
                f"{self._endpoint}: the server talks without end while it should wait for mail"
            )
        for line in lines:
            self._lines.received(_without_words(line))
            self._take_line(line.removesuffix(b"\r"))

    def _take_line(self, line: bytes) -> None:
        line, self._literal = self._literal + line, b""
        if _LITERAL.fullmatch(line):
            self._literal = line + b" "  # the folder's name follows on the next line
        elif line.startswith(b"+"):
            self._idle_begun()
        elif line.startswith(b"* "):
            self._take_response(line)
        elif line.startswith(_TAG + b" ") and self._step is _Step.DONE:
            self._step = _Step.ASKED
            self._send(_TAG + b" IDLE\r\n")
        else:
            raise ConnectionFailed(f"{self._endpoint}: the server ended IDLE, or refused it")

    def _idle_begun(self) -> None:
        if self._step is not _Step.ASKED:
            raise ProtocolViolation(
                f"{self._endpoint}: the server asks for more, and nothing was begun"
            )
        self._step = _Step.IDLE

    def _take_response(self, line: bytes) -> None:
        if line[:5].upper() == b"* BYE":
            raise ConnectionFailed(
                f"{self._endpoint}: the server said goodbye to the connection that waited for mail"
            )
        if b"[NOTIFICATIONOVERFLOW]" in line.upper():
            raise ConnectionFailed(
                f"{self._endpoint}: the server has too much to tell, and tells no more"
            )
        if status := _STATUS.fullmatch(line):
            self._noted_status(*status.groups())
            return
        found = _COUNT.fullmatch(line)
        if found is None:
            return  # flags, RECENT, or an OK to keep the connection open
        if found[2].upper() == b"EXPUNGE":
            self._count = max(0, self._count - 1)
            return
        self._news |= int(found[1]) > self._count
        self._count = int(found[1])

    def _noted_status(self, name: bytes, items: bytes) -> None:
        """Take the STATUS of another folder (RFC 5465, section 5); a new UIDNEXT is new mail."""
        found = _NEXT.search(items)
        following = int(found[1]) if found else 0
        self._news |= not following or self._next.get(name) != following
        if len(self._next) >= _NAMES:
            self._next.clear()  # the server makes up names; one session too many does no harm
        self._next[name] = following


def _without_words(line: bytes) -> bytes:
    """Return what is understood of a line, and how many octets it has besides."""
    shown = _SHOWN.match(line)
    begin = shown[0] if shown else b""
    rest = len(line.rstrip(b"\r")) - len(begin)
    return begin + b" [%d bytes]" % rest if rest else begin


def _folders(client: ImapClient, spec: SourceSpec, failures: ImapRefusals) -> list[ServerFolder]:
    """Return the folders to watch, the one to open first; run LIST only where needed."""
    declared = (
        spec.effective_folders
        if "NOTIFY" in client.dialogue.capabilities
        else spec.effective_folders[:1]
    )
    if [name.upper() for name in declared] == ["INBOX"]:
        return [INBOX]
    return list(choose_folders(client, declared, failures).folders.values()) or [INBOX]


def _notify(names: Iterable[bytes]) -> bytes:
    """Return the arguments of NOTIFY (RFC 5465, section 8).

    MessageNew is allowed only with MessageExpunge. Left out are folders beyond the length of a
    line, and names that are no quoted string; they are collected at the interval.
    """
    begin, end = (
        b"SET (selected (MessageNew MessageExpunge)) (mailboxes (",
        b") (MessageNew MessageExpunge))",
    )
    listed: list[bytes] = []
    room = _COMMAND - len(begin) - len(end)
    for name in names:
        if name.isascii() and name.decode().isprintable() and room > len(name) + 8:
            listed.append(quoted(name))
            room -= len(listed[-1]) + 1
    return begin + b" ".join(listed) + end


def open_push(
    spec: SourceSpec,
    secret: Secret,
    limits: Limits,
    memories: AccountMemories | None = None,
    identity: ClientIdentity | None = None,
    transcript: PushTranscript | None = None,
) -> ImapPush:
    """Return a push connection that is not connected yet; the paths in `spec` are absolute."""
    return ImapPush(
        spec,
        secret,
        limits,
        memories or AccountMemories(),
        identity or ClientIdentity(),
        transcript or PushTranscripts().begin(),
    )
