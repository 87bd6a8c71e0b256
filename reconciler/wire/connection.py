"""A connection to a remote server with limits of time and octets, which any thread can abort."""

from __future__ import annotations

import re
import socket as sockets
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress

from reconciler.model.errors import ConnectionFailed, Flooded, ProtocolViolation
from reconciler.wire import tls
from reconciler.wire.connection_limits import Limits, Timeouts
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.name_lookup import SocketAddress, allowed_by_policy, look_up
from reconciler.wire.receive_buffer import LARGEST, ReceiveBuffer
from reconciler.wire.reply_turns import LONG, ReplyTurn
from reconciler.wire.transcript import LISTED, ConnectionTranscript

_ALERTS = 5
"""Alerts of a connection that are kept."""
_PIECE = 64 << 10
_SMALLEST_PIECE = 8 << 10
"""Octets of an unfinished line from which they are taken out of the buffer."""
_BEGINNING = 100
"""Octets of a line that decide whether it may be long."""
_ENDS = (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Errors that mean that the server has closed the connection."""


class Connection:
    """One TCP or unix connection, with or without TLS.

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

    # Opening and closing

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

    def read_line(
        self, limit: int | None = None, *, longer: re.Pattern[bytes] | None = None, most: int = 0
    ) -> bytes:
        """Return one line with its CRLF.

        It has at most `limit` octets (default `limits.line`), or `most` where it begins with what
        `longer` matches. A lone CR is a `ProtocolViolation` (hazard I20). A lone LF ends a line
        only where nobody on the way could have put it there (`_trusted`).
        """
        line = self._line(self.limits.line if limit is None else limit, longer, most)
        self._count(len(line))
        if not line.endswith(b"\r\n") and self._trusted:
            line = line[:-1] + b"\r\n"
        if not line.endswith(b"\r\n") or line.find(b"\r", 0, -2) >= 0:
            raise ProtocolViolation(f"{self.endpoint}: a line does not end with CRLF")
        if self._transcript is not None:
            self._transcript.received(line)
        return line

    @property
    def _trusted(self) -> bool:
        """Whether TLS protects what comes, or the manifest wants no TLS."""
        return self.endpoint.tls == "none" or self.secure

    def read_match(self, pattern: re.Pattern[bytes]) -> tuple[bytes, ...] | None:
        """Read what `pattern` matches at the beginning of the buffer; return its groups.

        Returns None and reads nothing where it does not match.
        """
        matched = self._buffer.match(pattern)
        if matched is None:
            return None
        groups, length = matched
        self._count(length)
        self._buffer.skip(length)
        self._receive_bulk(length)
        return groups

    def read_run(self, pattern: re.Pattern[bytes]) -> bytes:
        """Read what `pattern` matches at the beginning of the buffer, b"" where it does not."""
        length = self._buffer.match_length(pattern)
        if not length:
            return b""
        self._count(length)
        lines = self._buffer.take(length)
        self.keep_lines(lines, LISTED)
        return lines

    def read_framed(
        self, opening: re.Pattern[bytes], closing: bytes
    ) -> tuple[tuple[bytes, ...], bytes] | None:
        """Read a reply of a known form: `opening`, bulk data, `closing`.

        The last group of `opening` is the count of the data's octets. Returns the groups and the
        data. Returns None and reads nothing if the reply has another form, does not fit into the
        buffer, or its opening was not received yet.
        """
        opened = self._buffer.match(opening)
        if opened is None:
            return None
        groups, begin = opened
        end = begin + int(groups[-1])
        whole = end + len(closing)
        if whole > LARGEST:
            return None
        while len(self._buffer) < whole:
            self.fill(bulk=True)
        if self._buffer.peek(end, len(closing)) != closing:
            return None
        self._count(begin + len(closing))
        if self._transcript is not None:
            self._transcript.received_around(self._buffer.peek(0, begin), end - begin, closing)
        self._buffer.skip(begin)
        content = self._buffer.take(end - begin)
        self._buffer.skip(len(closing))
        return groups, content

    def read(self, count: int) -> bytes:
        """Return exactly `count` octets; for small amounts."""
        self._count(count)
        return b"".join(self._exactly(count, bulk=False))

    def read_chunks(self, count: int) -> Iterator[bytes]:
        """Yield exactly `count` octets of bulk data, in pieces that are not small."""
        return self._exactly(count, bulk=True)

    # The buffer, for readers that look before they read

    def buffered(self) -> int:
        """Return the number of octets that were received and not read."""
        return len(self._buffer)

    def find_dot(self, offset: int) -> int:
        """Return where a CRLF and a dot are in the buffer, from `offset` on; -1 for nowhere."""
        return self._buffer.find_dot(offset)

    def peek(self, offset: int, count: int) -> bytes:
        """Return up to `count` buffered octets from `offset` without reading them."""
        return self._buffer.peek(offset, count)

    def take(self, count: int) -> bytes:
        """Read up to `count` buffered octets."""
        taken = self._buffer.take(count)
        self._receive_bulk(len(taken))
        return taken

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

    def _line(self, limit: int, longer: re.Pattern[bytes] | None, most: int) -> bytes:
        pieces: list[bytes] = []
        size = seen = 0
        while (found := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if size + seen > limit:
                limit = self._longer_limit(
                    limit, longer, most, pieces[0] if pieces else self._buffer.peek(0, _BEGINNING)
                )
                continue
            if seen >= _PIECE:
                pieces.append(self._buffer.take(seen))
                size, seen = size + seen, 0
            self.fill(bulk=False)
        while size + found + 1 > limit:
            limit = self._longer_limit(
                limit, longer, most, pieces[0] if pieces else self._buffer.peek(0, _BEGINNING)
            )
        line = self._buffer.take(found + 1)
        return b"".join([*pieces, line]) if pieces else line

    def _longer_limit(
        self, limit: int, longer: re.Pattern[bytes] | None, most: int, beginning: bytes
    ) -> int:
        """Return how long a line may be that exceeds `limit`, by its beginning."""
        if longer is not None and most > limit and longer.match(beginning[:_BEGINNING]):
            return most
        raise ProtocolViolation(f"{self.endpoint}: a line is longer than {limit} octets")

    def _exactly(self, count: int, *, bulk: bool) -> Iterator[bytes]:
        # In pieces of some size, however small the segments are in which they come: readers
        # look at each piece, and keep many.
        while count:
            while len(self._buffer) < min(count, _SMALLEST_PIECE):
                self.fill(bulk=bulk)
            chunk = self._buffer.take(count)
            count -= len(chunk)
            self._receive_bulk(len(chunk))
            yield chunk

    # What is kept of the dialogue

    def keep_lines(self, lines: bytes, most: int, *, taken: bool = False) -> None:
        """Keep the first `most` lines of a listing. `taken`: they are what was counted as bulk
        data since the last line."""
        if self._transcript is not None:
            if taken:
                self._transcript.octets = 0
            self._transcript.received_lines(lines, most)

    def _receive_bulk(self, octets: int) -> None:
        if self._transcript is not None:
            self._transcript.octets += octets

    def _note(self, text: str) -> None:
        if self._transcript is not None:
            self._transcript.note(text)

    def _count(self, octets: int) -> None:
        self._reply_octets += octets
        if self._reply_octets > self._bound:
            raise Flooded(f"{self.endpoint}: a reply is longer than {self._bound} octets")

    # The socket

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
