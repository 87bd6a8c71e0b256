"""A POP3 server that speaks as its personality does (RFC 1939)."""

from __future__ import annotations

import base64
import ssl

from tests.servers.personalities.store import Pop3, Store
from tests.servers.scripted import Client, Gone, Scripted
from tests.sources.pop3_scripts import multiline, stuff


class Pop3Server:
    """Serves `store`'s first folder; deletes take place at QUIT."""

    def __init__(self, one: Pop3, store: Store, tls: ssl.SSLContext | None = None) -> None:
        self.one, self.store = one, store
        self.server = Scripted(self._serve, tls=tls)

    def __enter__(self) -> Pop3Server:
        self.server.__enter__()
        return self

    def __exit__(self, *of: object) -> None:
        self.server.__exit__(*of)  # type: ignore[arg-type]  # as it comes

    def _serve(self, client: Client) -> None:
        if self.store.throttled and self.one.throttled_at == "greeting":
            client.send(self.one.throttled + b"\r\n")
            return
        client.send(self.one.greeting + b"\r\n")
        _Session(self.one, self.store, client).run()


class _Session:
    def __init__(self, one: Pop3, store: Store, client: Client) -> None:
        self.one, self.store, self.client = one, store, client
        self.numbers = dict(enumerate(sorted(store.inbox), 1))
        self.deleted: set[int] = set()
        self.sent = 0

    def run(self) -> None:
        verb = ""
        while verb != "quit":
            verb, _, argument = self.client.line().decode().partition(" ")
            verb = verb.lower()
            handler = getattr(self, f"_{verb}", None)
            if verb == "quit":
                for uid in self.deleted:
                    del self.store.inbox[uid]
            self.client.send(handler(argument) if handler else b"-ERR unknown command\r\n")

    def _capa(self, _: str) -> bytes:
        return (
            b"-ERR unknown command\r\n"
            if self.one.capabilities is None
            else multiline(*self.one.capabilities)
        )

    def _ok(self, _: str) -> bytes:
        return b"+OK\r\n"

    _user = _noop = _utf8 = _quit = _ok

    def _pass(self, argument: str) -> bytes:
        self.store.logins += 1
        if self.store.throttled and self.one.throttled_at == "PASS":
            return self.one.throttled + b"\r\n"
        return b"+OK\r\n" if argument == self.store.password else self.one.wrong + b"\r\n"

    def _auth(self, argument: str) -> bytes:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() != "PLAIN":
            return b"-ERR unknown mechanism\r\n"
        if not initial:
            self.client.send(b"+ \r\n")
            initial = self.client.line().decode()
        return self._pass(base64.b64decode(initial).decode().rpartition("\0")[2])

    def _list(self, _: str) -> bytes:
        if self.store.throttled and self.one.throttled_at == "LIST":
            return self.one.throttled + b"\r\n"
        return multiline(
            *[
                b"%d %d" % (number, len(self.store.inbox[uid]))
                for number, uid in self.numbers.items()
            ]
        )

    def _uidl(self, _: str) -> bytes:
        return multiline(*[b"%d U%d" % (number, uid) for number, uid in self.numbers.items()])

    def _retr(self, argument: str) -> bytes:
        uid = self.numbers[int(argument)]
        if uid in self.store.poisoned:
            return self.one.poison + b"\r\n"
        if self.store.drop_after and self.sent == self.store.drop_after:
            self.store.drop_after = 0
            raise Gone
        self.sent += 1
        self.store.seen.add(uid)
        return b"+OK\r\n" + stuff(self.store.inbox[uid])

    def _top(self, argument: str) -> bytes:
        head = self.store.inbox[self.numbers[int(argument.partition(" ")[0])]].partition(
            b"\r\n\r\n"
        )[0]
        return b"+OK\r\n" + stuff(head + b"\r\n\r\n")

    def _dele(self, argument: str) -> bytes:
        self.deleted.add(self.numbers[int(argument)])
        return b"+OK\r\n"
