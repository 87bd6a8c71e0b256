"""A mailbox on a scripted server, by IMAP and by POP3, with messages in it that the server cannot
deliver.

It keeps to its protocol in everything else: UIDPLUS, read-only EXAMINE, deletes at QUIT. What
happens when a poisoned message is sent is a `Poison`; it sees the connection, and the answer as it
would have been.

    box = Mailbox({1: b"Subject: a\\r\\n\\r\\n", …}, poisons={5: close})
    with box.serve("imap") as server:
        ...
    box.logins, box.connections, box.messages
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tests.servers.scripted import Client, Gone, Scripted

Poison = Callable[[Client, bytes], bool]
"""Called with the connection and the message's answer: its FETCH response by IMAP, status line and
body by POP3. Whether the server goes on with the command; False: it is over, without a completion.
"""
CAPABILITY = b"IMAP4rev1 UIDPLUS"


@dataclass
class Mailbox:
    """`messages` by UID; by POP3 a UIDL is `u` and that number."""

    messages: dict[int, bytes]
    poisons: Mapping[int, Poison] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)
    """Announced instead of the true ones."""
    closes_after: int = 0
    """So many messages over one connection, then BYE or a close."""
    fails: Callable[[bytes], bool] = lambda _: False
    """Commands, without their tag, at which the connection is closed."""
    undeletable: frozenset[int] = frozenset()
    """A command to delete one of these is refused; and the connection is closed, if
    `closes_at_deletion`."""
    closes_at_deletion: bool = False
    logins: int = 0
    connections: int = 0
    asked: list[bytes] = field(default_factory=list)
    """Commands, without their tags."""
    deleted: list[int] = field(default_factory=list)
    uidl: bool = True
    pipelining: bool = True
    limit_of_logins: int = 0
    next_uid: int = 0
    validity: int = 7
    names: Callable[[int, int, int], bytes] = lambda uid, place, session: b"u%d" % uid
    """UIDLs, by a message's UID, its place in the maildrop and the session's number, all from 1."""

    def __post_init__(self) -> None:
        self.next_uid = max(self.messages, default=0) + 1

    def serve(self, protocol: str) -> Scripted:
        return Scripted(self._imap if protocol == "imap" else self._pop3)

    def size(self, uid: int) -> int:
        return self.sizes.get(uid, len(self.messages[uid]))

    def _log_in(self) -> bool:
        self.logins += 1
        return not self.limit_of_logins or self.logins <= self.limit_of_logins

    def _over(self, given: int) -> bool:
        return 0 < self.closes_after <= given

    # IMAP

    def _imap(self, client: Client) -> None:
        self.connections += 1
        client.send(b"* OK ready\r\n")
        _Imap(self, client).serve()

    # POP3

    def _pop3(self, client: Client) -> None:
        self.connections += 1
        client.send(b"+OK ready\r\n")
        _Pop3(self, client).serve()


class _Imap:
    def __init__(self, box: Mailbox, client: Client) -> None:
        self.box, self.client = box, client
        self.marked: set[int] = set()
        self.given = 0

    def serve(self) -> None:
        while True:
            tag, _, command = self.client.line().partition(b" ")
            self.box.asked.append(command)
            if self.box.fails(command):
                return
            if not self.command(tag, command):
                return

    def command(self, tag: bytes, command: bytes) -> bool:
        box, client = self.box, self.client
        words = command.split()
        status = b"OK done"
        match words[0].upper():
            case b"CAPABILITY":
                client.send(b"* CAPABILITY " + CAPABILITY + b"\r\n")
            case b"LOGIN":
                if not box._log_in():
                    status = b"NO [UNAVAILABLE] too many logins"
            case b"SELECT" | b"EXAMINE":
                client.send(
                    b"* %d EXISTS\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] next\r\n"
                    % (len(box.messages), box.validity, box.next_uid)
                )
                status = (
                    b"OK [READ-WRITE] done"
                    if words[0].upper() == b"SELECT"
                    else b"OK [READ-ONLY] done"
                )
            case b"UID":
                return self.uid(tag, words[1].upper(), command)
            case b"LOGOUT":
                client.send(b"* BYE bye\r\n")
        client.send(tag + b" " + status + b"\r\n")
        return words[0].upper() != b"LOGOUT"

    def uid(self, tag: bytes, verb: bytes, command: bytes) -> bool:
        box, client = self.box, self.client
        if verb == b"FETCH":
            return self.fetch(tag, command)
        if verb == b"SEARCH":
            client.send(
                b"* SEARCH "
                + b" ".join(b"%d" % uid for uid in self._members(command.split()[-1]))
                + b"\r\n"
            )
        elif verb == b"STORE":
            if not box.undeletable.isdisjoint(self._members(command.split()[2])):
                client.send(
                    b"" if box.closes_at_deletion else tag + b" NO [SERVERBUG] cannot delete\r\n"
                )
                return not box.closes_at_deletion
            self.marked |= set(self._members(command.split()[2]))
        elif verb == b"EXPUNGE":
            for uid in self._members(command.split()[2]):
                if uid in self.marked:
                    del box.messages[uid]
                    box.deleted.append(uid)
                    client.send(b"* 1 EXPUNGE\r\n")
        client.send(tag + b" OK done\r\n")
        return True

    def fetch(self, tag: bytes, command: bytes) -> bool:
        box, client = self.box, self.client
        _, _, uids, items = command.split(b" ", 3)
        for uid in list(self._members(uids)):
            if b"RFC822.SIZE" in items:
                client.send(b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, uid, box.size(uid)))
                continue
            if b"BODY" not in items:
                client.send(b"* %d FETCH (UID %d)\r\n" % (uid, uid))
                continue
            body, item = box.messages[uid], b"BODY[]"
            if partial := re.search(rb"<(\d+)\.(\d+)>", items):
                start, length = int(partial[1]), int(partial[2])
                body, item = body[start : start + length], b"BODY[]<%d>" % start
            elif b"HEADER" in items:
                body, item = body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b"BODY[HEADER]"
            answer = b"* %d FETCH (UID %d %s {%d}\r\n%s)\r\n" % (uid, uid, item, len(body), body)
            if uid in box.poisons:
                # for what a poison says about the command
                client.tag = tag  # type: ignore[attr-defined]
                client.goes_on = False  # type: ignore[attr-defined]
                if not box.poisons[uid](client, answer):
                    return getattr(client, "goes_on", False)
                continue
            client.send(answer)
            self.given += 1
            if box._over(self.given):
                client.send(b"* BYE you have had enough\r\n")
                return False
        client.send(tag + b" OK done\r\n")
        return True

    def _members(self, uids: bytes) -> Iterator[int]:
        for term in uids.split(b","):
            first, _, last = term.partition(b":")
            end = max(self.box.messages, default=0) if last == b"*" else int(last or first)
            yield from [uid for uid in sorted(self.box.messages) if int(first) <= uid <= end]


class _Pop3:
    def __init__(self, box: Mailbox, client: Client) -> None:
        self.box, self.client = box, client
        self.uids = sorted(box.messages)
        self.doomed: list[int] = []
        self.given = 0

    def serve(self) -> None:
        while True:
            command = self.client.line()
            self.box.asked.append(command)
            if self.box.fails(command):
                return
            if not self.command(command):
                return

    def command(self, command: bytes) -> bool:  # noqa: C901, PLR0912  # a table of commands
        box, client = self.box, self.client
        verb, _, argument = command.partition(b" ")
        match verb.upper():
            case b"CAPA":
                lines = [
                    b"USER",
                    b"TOP",
                    *([b"UIDL"] if box.uidl else []),
                    *([b"PIPELINING"] if box.pipelining else []),
                ]
                client.send(b"+OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n")
            case b"PASS":
                client.send(
                    b"+OK\r\n" if box._log_in() else b"-ERR [LOGIN-DELAY 60] too many logins\r\n"
                )
            case b"LIST":
                self._list(lambda uid: b"%d" % box.size(uid))
            case b"UIDL":
                if box.uidl:
                    session = box.connections
                    self._list(lambda uid: box.names(uid, self.uids.index(uid) + 1, session))
                else:
                    client.send(b"-ERR what?\r\n")
            case b"RETR":
                return self.retrieve(int(argument))
            case b"TOP":
                head = box.messages[self.uids[int(argument.split()[0]) - 1]].partition(b"\r\n\r\n")[
                    0
                ]
                client.send(b"+OK\r\n" + head + b"\r\n\r\n.\r\n")
            case b"DELE":
                if self.uids[int(argument) - 1] in box.undeletable:
                    client.send(b"-ERR cannot delete\r\n")
                    return not box.closes_at_deletion
                self.doomed.append(self.uids[int(argument) - 1])
                client.send(b"+OK\r\n")
            case b"QUIT":
                for uid in self.doomed:
                    del box.messages[uid]
                    box.deleted.append(uid)
                client.send(b"+OK bye\r\n")
                return False
            case _:
                client.send(b"+OK\r\n")
        return True

    def retrieve(self, number: int) -> bool:
        box, client = self.box, self.client
        uid = self.uids[number - 1]
        answer = b"+OK\r\n" + re.sub(rb"(^|(?<=\r\n))\.", b"..", box.messages[uid]) + b".\r\n"
        if uid in box.poisons:
            client.tag = b""  # type: ignore[attr-defined]
            return box.poisons[uid](client, answer)
        client.send(answer)
        self.given += 1
        return not box._over(self.given)

    def _list(self, told: Callable[[int], bytes]) -> None:
        lines = [b"%d %s\r\n" % (number, told(uid)) for number, uid in enumerate(self.uids, 1)]
        self.client.send(b"+OK\r\n" + b"".join(lines) + b".\r\n")


# Poisons


def close(client: Client, answer: bytes) -> bool:
    """The connection ends, cleanly, before the message."""
    return False


def cut(client: Client, answer: bytes) -> bool:
    """In the middle of the message."""
    client.send(answer[: len(answer) // 2])
    return False


def reset(client: Client, answer: bytes) -> bool:
    client.reset()
    return False


def silence(client: Client, answer: bytes) -> bool:
    """Nothing more comes."""
    with suppress(Gone):
        while True:
            client.line()
    return False


def says_goodbye(words: bytes) -> Poison:
    """By IMAP; by POP3 the words of a refusal, and the end."""

    def goodbye(client: Client, answer: bytes) -> bool:
        client.send(
            b"* BYE " + words + b"\r\n" if answer.startswith(b"*") else b"-ERR " + words + b"\r\n"
        )
        return False

    return goodbye


def refuses(words: bytes) -> Poison:
    """NO, BAD or -ERR instead of the message, and of those behind it in the same command."""

    def refusal(client: Client, answer: bytes) -> bool:
        if answer.startswith(b"*"):
            client.send(client.tag + b" " + words + b"\r\n")  # type: ignore[attr-defined]
            client.goes_on = True  # type: ignore[attr-defined]
            return False
        client.send(b"-ERR " + words.partition(b" ")[2] + b"\r\n")
        return True

    return refusal


def leaves_out(client: Client, answer: bytes) -> bool:
    """OK without the message; by POP3 an empty one."""
    if answer.startswith(b"+"):
        client.send(b"-ERR no data\r\n")
    return True


def nil(client: Client, answer: bytes) -> bool:
    """The message is NIL; by POP3 a refusal."""
    if answer.startswith(b"+"):
        client.send(b"-ERR cannot read\r\n")
    else:
        client.send(re.sub(rb" \{\d+\}.*", b" NIL)", answer.partition(b"\r\n")[0]) + b"\r\n")
    return True


def empty(client: Client, answer: bytes) -> bool:
    """Nothing is in it, although a size was announced."""
    imap = re.sub(rb"\{\d+\}.*\Z", b"{0}\r\n)\r\n", answer, flags=re.DOTALL)
    client.send(imap if answer.startswith(b"*") else b"+OK\r\n.\r\n")
    return True


def lies(client: Client, answer: bytes) -> bool:
    """A literal that is shorter than its data; by POP3 something that is no reply."""
    if answer.startswith(b"*"):
        client.send(
            re.sub(rb"\{(\d+)\}", lambda found: b"{%d}" % (int(found[1]) - 9), answer, count=1)
        )
    else:
        client.send(b"garbage\r\n" + answer)
    return True


def huge(client: Client, answer: bytes) -> bool:
    """A literal beyond all bounds; by POP3 a line without an end of it."""
    client.send(
        re.sub(rb"\{\d+\}", b"{99999999999}", answer, count=1)
        if answer.startswith(b"*")
        else b"+OK " + b"x" * (2 << 20)
    )
    return False


KINDS: Mapping[str, Poison] = {
    "close": close,
    "cut": cut,
    "reset": reset,
    "silence": silence,
    "goodbye": says_goodbye(b"FETCH failed"),
    "unavailable": refuses(b"NO [UNAVAILABLE] UID FETCH Server error while fetching messages"),
    "refused": refuses(b"NO Internal error, cannot read it"),
    "bad": refuses(b"BAD cannot parse that"),
    "left-out": leaves_out,
    "nil": nil,
    "empty": empty,
    "lies": lies,
    "huge": huge,
    "bye-code": says_goodbye(b"[UNAVAILABLE] oh"),
}
