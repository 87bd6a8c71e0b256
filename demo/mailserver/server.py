"""The server: four ports on loopback, a thread for each connection."""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from demo.mailserver.conversation import Closed, Conversation
from demo.mailserver.imap import Imap
from demo.mailserver.pop3 import Pop3
from demo.mailserver.store import Store
from tests.servers.loopback import HOST

Session = type[Imap] | type[Pop3]
_SESSIONS: dict[str, Session] = {"imap": Imap, "imaps": Imap, "pop3": Pop3, "pop3s": Pop3}


class SmallServer:
    """The server, which runs inside of `with SmallServer() as server:`.

    Every user name can log in with `password`. Accounts are created on demand.
    """

    host = HOST
    # The server listens on loopback only.
    password = "correct-horse-battery"  # noqa: S105

    def __init__(self) -> None:
        self._store = Store(self.password)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._listeners: dict[str, socket.socket] = {}
        self._open: set[Conversation] = set()
        self._lock = threading.Lock()
        self.ports: dict[str, int] = {}
        """The ports of imap, imaps, pop3 and pop3s. The first and third offer STARTTLS and STLS."""

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="demo")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        authority.issue_cert(self.host, "127.0.0.1").configure_cert(self._context)
        for name, session in _SESSIONS.items():
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners[name] = listener
            self.ports[name] = listener.getsockname()[1]
            threading.Thread(
                target=self._listen,
                args=(listener, session, name.endswith("s")),
                name=name,
                daemon=True,
            ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            listeners, talks = list(self._listeners.values()), list(self._open)
            self._listeners.clear()
        for listener in listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # ends a blocked accept
            listener.close()
        for talk in talks:
            talk.end()
        self._directory.cleanup()

    @property
    def ca_file(self) -> Path:
        """Return the path of the CA's certificate."""
        return Path(self._directory.name) / "ca.pem"

    def deliver(self, user: str, messages: Iterable[bytes], folder: str = "INBOX") -> None:
        """Put messages into a folder, in this order."""
        self._store.folder(user, folder).add(messages)

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """Return the messages of a folder, oldest first, with CRLF line ends."""
        return [message.content for message in self._store.folder(user, folder).look()[0]]

    def _listen(self, listener: socket.socket, session: Session, tls: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the listener was closed
            talk = Conversation(connection, self._context)
            with self._lock:
                self._open.add(talk)
            threading.Thread(target=self._serve, args=(talk, session, tls), daemon=True).start()

    def _serve(self, talk: Conversation, session: Session, tls: bool) -> None:
        try:
            if tls:
                talk.start_tls()
            session(talk, self._store).run()
        except (Closed, OSError):
            pass  # the client closed the connection
        finally:
            talk.close()
            with self._lock:
                self._open.discard(talk)
