"""A POP3 session (RFC 1939, with CAPA of RFC 2449, STLS of RFC 2595)."""

from __future__ import annotations

from collections.abc import Callable

from demo.mailserver.conversation import Conversation
from demo.mailserver.store import Folder, Message, Store

_CAPABILITIES = ("USER", "UIDL", "TOP", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE")


class Pop3:
    def __init__(self, talk: Conversation, store: Store) -> None:
        self._talk = talk
        self._store = store
        self._user = ""
        self._folder: Folder | None = None
        self._messages: list[Message] = []
        self._validity = 0
        self._deleted: set[int] = set()
        self._verbs: dict[str, Callable[[list[str]], None]] = {
            "CAPA": self._capa,
            "STLS": self._stls,
            "USER": self._take_user,
            "PASS": self._take_password,
        }
        self._later: dict[str, Callable[[list[str]], None]] = {
            "STAT": self._stat,
            "LIST": self._list,
            "UIDL": self._uidl,
            "RETR": self._retr,
            "TOP": self._top,
            "DELE": self._dele,
            "RSET": self._rset,
            "NOOP": self._noop,
        }

    def run(self) -> None:
        """Answer commands until QUIT. Raises the errors of the connection; then nothing is deleted
        (RFC 1939, section 6)."""
        self._say("+OK ready")
        while True:
            verb, *arguments = self._talk.line().decode("utf-8", "replace").split(" ") or [""]
            name = verb.upper()
            if name == "QUIT":
                break
            if name == "PASS":
                arguments = [" ".join(arguments)]
            known = self._verbs if self._folder is None else self._verbs | self._later
            answer = known.get(name)
            if answer is None:
                self._say("-ERR not known, or not now")
            else:
                answer(arguments)
        if self._folder is not None:
            self._folder.remove(self._deleted)
        self._say("+OK bye")

    def _say(self, line: str, *more: str) -> None:
        text = "".join(f"{each}\r\n" for each in (line, *more))
        self._talk.send(text.encode())

    def _capa(self, _: list[str]) -> None:
        self._say("+OK", *_CAPABILITIES, *([] if self._talk.secure else ["STLS"]), ".")

    def _stls(self, _: list[str]) -> None:
        if self._talk.secure or self._folder is not None:
            self._say("-ERR not now")
            return
        self._say("+OK begin")
        self._talk.start_tls()

    def _take_user(self, arguments: list[str]) -> None:
        self._user = " ".join(arguments)
        self._say("+OK")

    def _take_password(self, arguments: list[str]) -> None:
        if self._user and self._store.admits(arguments[0]):
            self._folder = self._store.folder(self._user, "INBOX")
            self._messages, _ = self._folder.look()
            self._validity = self._folder.validity
            self._say("+OK logged in")
        else:
            self._say("-ERR [AUTH] authentication failed")

    def _left(self) -> list[tuple[int, Message]]:
        return [
            (number, message)
            for number, message in enumerate(self._messages, 1)
            if message.uid not in self._deleted
        ]

    def _named(self, arguments: list[str]) -> Message | None:
        """Return the message of a number, or answer that there is none."""
        numbered = dict(self._left())
        number = arguments[0] if arguments else ""
        message = numbered.get(int(number)) if number.isascii() and number.isdecimal() else None
        if message is None:
            self._say("-ERR no such message")
        return message

    def _stat(self, _: list[str]) -> None:
        left = self._left()
        self._say(f"+OK {len(left)} {sum(len(message.content) for _, message in left)}")

    def _list(self, arguments: list[str]) -> None:
        self._tell(arguments, lambda message: str(len(message.content)))

    def _uidl(self, arguments: list[str]) -> None:
        self._tell(arguments, lambda message: f"{self._validity:08x}{message.uid:08x}")

    def _tell(self, arguments: list[str], told: Callable[[Message], str]) -> None:
        if not arguments:
            self._say(
                "+OK", *(f"{number} {told(message)}" for number, message in self._left()), "."
            )
        elif message := self._named(arguments):
            self._say(f"+OK {arguments[0]} {told(message)}")

    def _retr(self, arguments: list[str]) -> None:
        if message := self._named(arguments):
            self._send(message.content)

    def _top(self, arguments: list[str]) -> None:
        if message := self._named(arguments):
            header, _, body = message.content.partition(b"\r\n\r\n")
            count = int(arguments[1]) if arguments[1:] and arguments[1].isdecimal() else 0
            lines = body.split(b"\r\n")[:count]
            self._send(header + b"\r\n\r\n" + b"".join(line + b"\r\n" for line in lines))

    def _send(self, content: bytes) -> None:
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        end = b"" if stuffed.endswith(b"\r\n") else b"\r\n"
        self._talk.send(b"+OK\r\n" + stuffed + end + b".\r\n")

    def _dele(self, arguments: list[str]) -> None:
        if message := self._named(arguments):
            self._deleted.add(message.uid)
            self._say("+OK deleted")

    def _rset(self, _: list[str]) -> None:
        self._deleted.clear()
        self._say("+OK")

    def _noop(self, _: list[str]) -> None:
        self._say("+OK")
