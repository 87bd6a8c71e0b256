"""A socket to a remote server with limits of time and octets, which any thread can abort."""

from __future__ import annotations

import socket as sockets
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from reconciler.model.errors import ConnectionFailed, Flooded, ProtocolViolation
from reconciler.wire import tls
from reconciler.wire.connection_limits import Limits, Timeouts
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.name_lookup import SocketAddress, allowed_by_policy, look_up
from reconciler.wire.receive_buffer import ReceiveBuffer
from reconciler.wire.reply_turns import LONG, ReplyTurn
from reconciler.wire.transcript import ConnectionTranscript

_ALERTS = 5
"""Alerts of a connection that are kept."""
_ENDS = (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Errors that mean that the server has closed the connection."""


class BoundedSocket:
    """One TCP or unix socket, with or without TLS, and the octets that it received.

    It is used from one thread; only `abort` may be called from any. Every failure is a
    `ConnectionFailed`, `TlsRefused` or `ProtocolViolation` whose text names host and port.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        deadline: float | None = None,
        transcript: ConnectionTranscript | None = None,
    ) -> None:
        """Prepare a connection; `open` connects it.

        `deadline` (monotonic clock) ends the session; default `limits.session` from now.
        `transcript` keeps what is said.
        """
        self.endpoint = endpoint
        self.limits = limits
        self.ended = False
        """Whether the server closed the connection."""
        self.received = 0
        """Octets received so far, after decryption."""
        self._alerts: list[str] = []
        self._transcript = transcript
        self._timeouts = Timeouts(limits, deadline)
        self._buffer = ReceiveBuffer()
        self._reply_octets = 0
        self._bound = limits.reply
        """The largest value of `_reply_octets` that is allowed."""
        self._turn: ReplyTurn | None = None
        """Set during a reply that is very long."""
        self._socket: sockets.socket | None = None
        self._owner = threading.get_ident()
        self._timeout = 0.0
        """The socket's time-out in seconds."""
        # Guards the moment in which `_socket` is set, closed or aborted by two threads.
        self._lock = threading.Lock()
        self._aborted: Future[None] = Future()

    def open(self) -> None:
        """Look up the name, connect to the first address that answers, begin implicit TLS."""
        self._owner = threading.get_ident()
        within = self._timeouts.within(self.limits.connect)
        self._connect(
            allowed_by_policy(self.endpoint, look_up(self.endpoint, within, self._aborted))
        )
        if self.endpoint.tls == "implicit":
            self._secure()

    def start_tls(self) -> None:
        """Begin TLS after the server has agreed to it.

        Octets that came behind its reply were injected: raises ProtocolViolation (hazard T3).
        """
        if len(self._buffer):
            raise ProtocolViolation(
                f"{self.endpoint}: data came before TLS began, as in an attack; nothing was sent"
            )
        self._alerts = []  # anybody on the way could have sent them
        self._secure()

    def abort(self) -> None:
        """Break the connection at once, from any thread.

        The thread that waits in it gets a `ConnectionFailed`.
        """
        # Other threads shut the socket down; only the thread that opened it closes it, here or in
        # `_failure`. Otherwise the descriptor's number could already belong to another file when
        # the opening thread reads from it.
        with self._lock:
            if not self._aborted.done():
                self._aborted.set_result(None)
            if self._socket is not None:
                _shut_down(self._socket)
        if threading.get_ident() == self._owner:
            self.close()

    def close(self) -> None:
        """Close the socket; harmless where it is closed already."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()

    def alert(self, text: str) -> None:
        """Keep a text that the server wants people to read: each once, and only a few."""
        if text and text not in self._alerts and len(self._alerts) < _ALERTS:
            self._alerts.append(text)

    @property
    def alerts(self) -> Sequence[str]:
        """The kept texts as the server sent them; none that came before an expected TLS."""
        return self._alerts if self._trusted else ()

    @property
    def secure(self) -> bool:
        """Whether TLS protects the connection."""
        return isinstance(self._socket, ssl.SSLSocket)

    @property
    def socket(self) -> sockets.socket:
        """The socket, for selectors; its data must be read through this connection."""
        if self._socket is None:
            raise ConnectionFailed(f"{self.endpoint}: not connected")
        return self._socket

    # Commands and replies

    def begin_command(self) -> None:
        """Begin a command, or the next of several replies: time and octets count from here."""
        self._timeouts.begin_command()
        self._reply_octets = 0
        self._bound = self.limits.reply
        self._turn = None

    def expect_listing(self, *, slow: bool = True, octets: int = 0) -> None:
        """Expect a reply with a line for each message, of up to `octets` or `limits.listing`.

        `slow`: the server may take long to make it, and it contains no message.
        """
        self._bound = max(self.limits.listing, octets)
        if slow:
            self._timeouts.expect_listing()

    def send(self, data: bytes, *, message: bool = False) -> None:
        """Send all of `data`: commands, or a part of a `message`."""
        if self._transcript is not None:
            self._transcript.sent_bulk(len(data)) if message else self._transcript.sent(data)
        self._arm(bulk=False)
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise self._failure(error, bulk=False) from error
        self._timeouts.waited(0, bulk=False)

    def count(self, octets: int) -> None:
        """Count more octets of this reply: unasked bulk data, or the work of reading lines."""
        self._count(octets)

    def fill(self, *, bulk: bool) -> None:
        """Receive at least one octet; wait for it where needed.

        `bulk`: bulk data is expected, which has other limits. Raises ProtocolViolation where the
        buffer is full (256 KiB): its reader must take from it first.
        """
        space = self._buffer.space()
        if not space:
            raise ProtocolViolation(
                f"{self.endpoint}: more was received than can be looked at in one piece"
            )
        if self._reply_octets > LONG:
            self._take_turn()
        self._arm(bulk=bulk)
        try:
            count = self.socket.recv_into(space)
            if bulk and count and self.secure:
                count += self._receive_more(space[count:])
        except OSError as error:
            self._timeouts.waited(0, bulk=bulk)
            raise self._failure(error, bulk=bulk) from error
        self._timeouts.waited(count, bulk=bulk)
        if not count:
            self.ended = True
            raise self._failure(EOFError(), bulk=bulk)
        self.received += count
        self._buffer.received(count)

    def _take_turn(self) -> None:
        if self._turn is None:
            self._turn = ReplyTurn()
        else:
            self._turn.take()

    def _receive_more(self, space: memoryview) -> int:
        """Receive what else has come already; return the octets.

        TLS gives one record per call, and Dovecot's records have 4 KiB.
        """
        count = 0
        self.socket.settimeout(0)
        # Nothing more for now; or the connection failed, which the next read meets as well.
        with suppress(OSError):
            while count < len(space) and (more := self.socket.recv_into(space[count:])):
                count += more
        self.socket.settimeout(self._timeout)
        return count

    @property
    def _trusted(self) -> bool:
        """Whether TLS protects what comes, or the manifest wants no TLS."""
        return self.endpoint.tls == "none" or self.secure

    def _count(self, octets: int) -> None:
        self._reply_octets += octets
        if self._reply_octets > self._bound:
            raise Flooded(f"{self.endpoint}: a reply is longer than {self._bound} octets")

    def _note(self, text: str) -> None:
        if self._transcript is not None:
            self._transcript.note(text)

    # Connecting, and what failures mean

    def _connect(self, candidates: list[SocketAddress]) -> None:
        """Connect to the first candidate that answers; the time left is shared among the rest."""
        deadline = time.monotonic() + self._timeouts.within(self.limits.connect)
        for tried, address in enumerate(candidates, 1):
            share = (deadline - time.monotonic()) / (len(candidates) - tried + 1)
            try:
                self._adopt(sockets.socket(address.family, sockets.SOCK_STREAM))
                self._set_timeout(max(share, 0.001))
                self.socket.connect(address.sockaddr)
                if address.family != sockets.AF_UNIX:
                    self.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
                    self.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
                self._note(f"connected to {self.endpoint}{_numeric(address, self.endpoint.host)}")
                return
            except OSError as error:
                self.close()
                if tried == len(candidates) or self._aborted.done():
                    raise self._unreachable(error) from error

    def _secure(self) -> None:
        wrapped = tls.wrap(self.socket, self.endpoint)
        self._adopt(wrapped)
        self._set_timeout(max(self._timeouts.within(self.limits.connect), 0.001))
        try:
            tls.handshake(wrapped, self.endpoint)
        except TimeoutError as error:
            raise ConnectionFailed(
                f"{self.endpoint}: no TLS handshake within {self._timeout:.0f} s"
            ) from error
        except OSError as error:
            raise self._failure(error, bulk=False) from error
        self._note(f"{wrapped.version()} began")

    def _adopt(self, opened: sockets.socket) -> None:
        """Make `opened` the socket, unless `abort` was called meanwhile."""
        with self._lock:
            self._socket = opened
            if self._aborted.done():
                opened.close()
                raise ConnectionFailed(f"{self.endpoint}: the session was aborted")

    def _arm(self, *, bulk: bool) -> None:
        """Set the socket's time-out to what may still be waited."""
        # Setting it is a system call, so only when it changes.
        left = self._timeouts.wait(bulk=bulk)
        if left <= 0:
            raise ConnectionFailed(f"{self.endpoint}: {self._timeouts.exhausted(bulk=bulk)}")
        if left != self._timeout:
            self._set_timeout(left)

    def _set_timeout(self, seconds: float) -> None:
        self._timeout = seconds
        self.socket.settimeout(seconds)

    def _unreachable(self, error: OSError) -> ConnectionFailed:
        if isinstance(error, TimeoutError):
            return ConnectionFailed(
                f"{self.endpoint}: no connection within {self.limits.connect:.0f} s"
            )
        return self._failure(error, bulk=False)

    def _failure(self, error: Exception, *, bulk: bool) -> ConnectionFailed:
        """Return the error that `error` of the socket means; close it after an abort."""
        failure = self._failed(error, bulk=bulk)
        self._note(str(failure))
        return failure

    def _failed(self, error: Exception, *, bulk: bool) -> ConnectionFailed:
        if self._aborted.done():
            self.close()
            return ConnectionFailed(f"{self.endpoint}: the session was aborted")
        if isinstance(error, TimeoutError):
            return ConnectionFailed(f"{self.endpoint}: {self._timeouts.exhausted(bulk=bulk)}")
        if isinstance(error, _ENDS):
            self.ended = True
            failure = ConnectionFailed(f"{self.endpoint}: the server closed the connection")
            failure.abrupt = isinstance(error, ConnectionError)
            return failure
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return ConnectionFailed(f"{self.endpoint}: {reason}")


def _numeric(address: SocketAddress, host: str) -> str:
    """Return the address that a name was resolved to, in brackets; "" for any other host."""
    if isinstance(address.sockaddr, str) or address.sockaddr[0] == host:
        return ""
    return f" ({address.sockaddr[0]})"


def _shut_down(opened: sockets.socket) -> None:
    """End both directions, which wakes the thread that waits."""
    # Not SSLSocket.shutdown: it would take TLS off and let the other thread read on in the clear.
    try:
        sockets.socket.shutdown(opened, sockets.SHUT_RDWR)
    except OSError:
        return  # not connected yet, or closed already
