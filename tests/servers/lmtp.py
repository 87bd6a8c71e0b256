"""A scripted LMTP or SMTP server, for what no real one would do."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 10485760", "ENHANCEDSTATUSCODES")
DROP = b"\0"
"""An answer that is none: the connection is closed. An empty one: nothing is said (yet)."""
Answer = Callable[[str], bytes | None]


@dataclass
class Conversation:
    """What one client said: its commands, and each message as it came over the wire, the final dot
    left out."""

    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


class Sink:
    """`answer` gives another reply than usual to a command, or None; `final` the replies to a
    message that was sent to these recipients, by default 250 for each (`each`, as in LMTP) or once.
    Replies are whole lines, or `DROP`."""

    def __init__(
        self,
        *,
        each: bool = True,
        extensions: Sequence[str] = EXTENSIONS,
        answer: Answer = lambda _: None,
        final: Callable[[list[str]], list[bytes]] | None = None,
        greeting: bytes = b"220 sink.test ready\r\n",
        path: Path | None = None,
    ) -> None:
        self.each = each
        self.extensions = extensions
        self.answer = answer
        self.final = final or self._accept
        self.greeting = greeting
        self.conversations: list[Conversation] = []
        self._server: _Unix | _Tcp = (
            _Unix(str(path), _handler(self, tcp=False))
            if path
            else _Tcp(("127.0.0.1", 0), _handler(self, tcp=True))
        )

    @property
    def port(self) -> int:
        assert isinstance(self._server, _Tcp)
        return int(self._server.server_address[1])

    @property
    def commands(self) -> list[str]:
        """Of all clients, one after another."""
        return [command for conversation in self.conversations for command in conversation.commands]

    @property
    def messages(self) -> list[bytes]:
        return [message for conversation in self.conversations for message in conversation.messages]

    def until(self, command: str) -> None:
        """Wait for the last command: a client that quits does not wait for the answer."""
        deadline = time.monotonic() + 60
        while command not in self.commands:
            assert time.monotonic() < deadline, self.commands
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _accept(self, recipients: list[str]) -> list[bytes]:
        return [b"250 2.0.0 ok, taken as 4711\r\n"] * (len(recipients) if self.each else 1)

    def usual(self, command: str) -> bytes:
        match command.split(maxsplit=1)[0].upper() if command else "":
            case "LHLO" | "EHLO":
                lines = ["sink.test", *self.extensions]
                return "".join(
                    f"250{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines
                ).encode()
            case "DATA":
                return b"354 go on\r\n"
            case "QUIT":
                return b"221 2.0.0 bye\r\n"
            case "MAIL" | "RCPT" | "RSET":
                return b"250 2.1.0 ok\r\n"
        return b"500 5.5.2 what?\r\n"


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _handler(sink: Sink, *, tcp: bool) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = tcp

        def handle(self) -> None:
            conversation = Conversation()
            sink.conversations.append(conversation)
            try:
                _converse(sink, conversation, self.rfile, self.wfile)
            except OSError:
                return  # the client has gone: part of the script

    return Handler


def _converse(
    sink: Sink, conversation: Conversation, rfile: BufferedIOBase, wfile: BufferedIOBase
) -> None:
    wfile.write(sink.greeting)
    accepted: list[str] = []
    while line := rfile.readline():
        command = line.decode("utf-8", "replace").rstrip("\r\n")
        conversation.commands.append(command)
        scripted = sink.answer(command)
        answer = sink.usual(command) if scripted is None else scripted
        if answer == DROP:
            return
        wfile.write(answer)
        verb = command.split(" ", 1)[0].upper()
        if verb in ("MAIL", "RSET"):
            accepted = []
        elif verb == "RCPT" and answer.startswith(b"2"):
            accepted.append(command.partition("<")[2].rpartition(">")[0])
        elif verb == "DATA" and answer.startswith(b"354"):
            conversation.messages.append(_message(rfile))
            for reply in sink.final(accepted):
                if reply == DROP:
                    return
                wfile.write(reply)
        elif verb == "QUIT":
            return


def _message(rfile: BufferedIOBase) -> bytes:
    lines = []
    while (line := rfile.readline()) != b".\r\n":
        if not line:
            raise ConnectionResetError
        lines.append(line)
    return b"".join(lines)
