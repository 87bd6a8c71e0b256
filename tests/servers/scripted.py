"""A tiny server that says whatever a test wants, for what no real server will do. In the clear or
with TLS.

    def script(client: Client) -> None:
        client.send(b"+OK\\r\\n")
        assert client.line() == b"CAPA"

    with Scripted(script) as server:
        ...  # connect to server.host, server.port

The script runs once for each connection, in a thread; what it raises is raised again when the
`with` block ends.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

Script = Callable[["Client"], None]
HOST = "127.0.0.1"
_PATIENCE = 120.0
"""Seconds that a script waits for its client. Under the load of several suites and full disks, a
client may stand still for more than 20 seconds while it writes."""


class Gone(Exception):
    """The client closed the connection; a script may simply let it pass."""


class Client:
    """One connection, as the server's side sees it."""

    def __init__(self, opened: socket.socket, lines: list[bytes]) -> None:
        self._abandoned = False
        self._socket = opened
        self._received = b""
        self._lines = lines

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def line(self) -> bytes:
        """The client's next line, without its CRLF; also kept in the server's `lines`. Raises
        `Gone`."""
        while b"\r\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\r\n")
        self._lines.append(line)
        return line

    def answer(self, replies: Mapping[bytes, bytes | Callable[[bytes], bytes]]) -> None:
        """Answer each line by its longest beginning in `replies` until QUIT is answered; other
        lines fail the test."""
        line = b""
        while line.upper() != b"QUIT":
            line = self.line()
            known = max(
                (begin for begin in replies if line.startswith(begin)), key=len, default=None
            )
            assert known is not None, f"unexpected: {line!r}"
            reply = replies[known]
            self.send(reply if isinstance(reply, bytes) else reply(line))

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Become a TLS server; a client that refuses it is `Gone`."""
        assert not self._received, "the client sent something before TLS began"
        try:
            self._socket = context.wrap_socket(
                self._socket, server_side=True, do_handshake_on_connect=False
            )
            if self._abandoned:  # of the socket before
                raise Gone
            self._socket.do_handshake()
        except OSError as error:
            raise Gone from error
        self._socket.settimeout(_PATIENCE)

    def wait(self) -> None:
        """Until the client closes the connection; what it still sends is kept in `lines`."""
        try:
            while True:
                self.line()
        except Gone:
            return

    def cut(self) -> None:
        """End the stream without TLS's close_notify."""
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._socket.close()

    def abandon(self) -> None:
        """Wake the script's thread wherever it waits."""
        self._abandoned = True
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._received += data


class Scripted:
    """Listens from its creation on. `lines` are all lines received, of every connection;
    `connections` counts these."""

    host = HOST

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.lines: list[bytes] = []
        self.connections = 0
        self._script = script
        self._tls = tls
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._ending = False
        self._acceptor = threading.Thread(
            target=self._accept, name=f"scripted {self.port}", daemon=True
        )
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending = True
        with socket.create_connection((HOST, self.port)):
            self._acceptor.join(_PATIENCE)
        self._listener.close()
        for client in self._clients:
            client.abandon()
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a script did not end"
        if self._errors and error is None:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            opened, _ = self._listener.accept()
            if self._ending:
                opened.close()
                return
            self.connections += 1
            opened.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # replies in pieces wait for nobody
            opened.settimeout(_PATIENCE)
            client = Client(opened, self.lines)
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: Client) -> None:
        try:
            if self._tls is not None:
                client.start_tls(self._tls)
            self._script(client)
        except Gone:
            return
        except BaseException as error:  # noqa: BLE001  # the test must hear of it, whatever it is
            self._errors.append(error)
        finally:
            client.close()


class Authority:
    """A CA of the test's own; `ca_file` is what a client that trusts it is given."""

    def __init__(self, directory: Path, name: str = "ca.pem") -> None:
        self._ca = trustme.CA()
        self.ca_file = str(directory / name)
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, not_after: datetime | None = None) -> trustme.LeafCert:
        """A certificate for these names, default the scripted server's address."""
        return self._ca.issue_cert(*(names or (HOST,)), not_after=not_after)

    def server(self, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
        """A server's context with such a certificate."""
        return server_context(self.issue(*names, not_after=not_after))


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
