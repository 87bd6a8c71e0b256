"""Twisted's IMAP4 and POP3 servers over one Maildir, for tests; run by the Python that has Twisted.

python twisted_mail.py MAILDIR USER PASSWORD IMAP-PORT POP3-PORT
"""
# mypy: disable-error-code="import-not-found, misc, no-untyped-def, no-untyped-call, type-arg"
# mypy: disable-error-code="unused-ignore"

from __future__ import annotations

import io
import sys
from email import message_from_bytes
from pathlib import Path
from typing import ClassVar

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.mail import imap4, pop3
from zope.interface import implementer

MAILDIR = Path(sys.argv[1])


@implementer(imap4.IMessage)
class Message:
    def __init__(self, path: Path, uid: int, flags: set[str]) -> None:
        self.path, self.uid, self.flags = path, uid, flags
        self.text = path.read_bytes()

    def getUID(self):
        return self.uid

    def getFlags(self):
        return sorted(self.flags)

    def getInternalDate(self):
        return "27-Nov-2026 10:00:00 +0000"

    def getHeaders(self, negate, *names):
        wanted = {
            name.decode().lower() if isinstance(name, bytes) else name.lower() for name in names
        }
        return {
            name.lower(): value
            for name, value in message_from_bytes(self.text).items()
            if (name.lower() in wanted) != bool(negate)
        }

    def getBodyFile(self):
        return io.BytesIO(self.text.partition(b"\r\n\r\n")[2])

    def getSize(self):
        return len(self.text)

    def isMultipart(self):
        return False

    def getSubPart(self, part):
        raise IndexError(part)

    def open(self):
        return io.BytesIO(self.text)


@implementer(imap4.IMailbox, imap4.IMessageFile)
class Inbox:
    """UIDs are given as messages are first seen."""

    uids: ClassVar[dict[str, int]] = {}
    flags: ClassVar[dict[str, set[str]]] = {}

    def __init__(self) -> None:
        paths = sorted(
            [*(MAILDIR / "new").iterdir(), *(MAILDIR / "cur").iterdir()], key=lambda path: path.name
        )
        for path in paths:
            self.uids.setdefault(path.name, len(self.uids) + 1)
        self.messages = [
            Message(path, self.uids[path.name], self.flags.setdefault(path.name, set()))
            for path in paths
        ]

    def getFlags(self):
        return ["\\Seen", "\\Deleted"]

    def getHierarchicalDelimiter(self):
        return "."

    def getUIDValidity(self):
        return 77

    def getUIDNext(self):
        return len(self.uids) + 1

    def getUID(self, number):
        return self.messages[number - 1].uid

    def getMessageCount(self):
        return len(self.messages)

    def getRecentCount(self):
        return 0

    def getUnseenCount(self):
        return 0

    def isWriteable(self):
        return 1

    def destroy(self):
        raise NotImplementedError

    def requestStatus(self, names):
        return imap4.statusRequestHelper(self, names)

    def addListener(self, listener):
        return None

    def removeListener(self, listener):
        return None

    def _chosen(self, messages, uid):
        messages.last = (
            max((message.uid for message in self.messages), default=1)
            if uid
            else len(self.messages)
        )
        return [
            (number, message)
            for number, message in enumerate(self.messages, 1)
            if (message.uid if uid else number) in messages
        ]

    def fetch(self, messages, uid):
        return self._chosen(messages, uid)

    def store(self, messages, flags, mode, uid):
        for _, message in (chosen := self._chosen(messages, uid)):
            (message.flags.update if mode >= 0 else message.flags.difference_update)(flags)
        return {number: message.getFlags() for number, message in chosen}

    def expunge(self):
        gone = [message for message in self.messages if "\\Deleted" in message.flags]
        for message in gone:
            message.path.unlink()
            self.messages.remove(message)
        return [message.uid for message in gone]


class Account(imap4.MemoryAccount):
    def __init__(self, name) -> None:
        super().__init__(name)
        self.mailboxes = {"INBOX": None}
        self.subscriptions = ["INBOX"]

    def select(self, name, rw=1):
        return Inbox() if name.upper() == "INBOX" else None

    def listMailboxes(self, ref, wildcard):
        return [("INBOX", Inbox())]


@implementer(pop3.IMailbox)
class Maildrop:
    """Twisted's own over a Maildir cannot read bytes."""

    def __init__(self) -> None:
        self.paths = [message.path for message in Inbox().messages]
        self.deleted: set[int] = set()

    def _text(self, index):
        return self.paths[index].read_bytes().replace(b"\r\n", b"\n")  # it makes CRLF of it

    def listMessages(self, index=None):
        if index is not None:
            return 0 if index in self.deleted else len(self._text(index))
        return [
            0 if number in self.deleted else len(self._text(number))
            for number in range(len(self.paths))
        ]

    def getMessage(self, index):
        return io.BytesIO(self._text(index))

    def getUidl(self, index):
        return self.paths[index].name.encode()

    def deleteMessage(self, index):
        self.deleted.add(index)

    def undeleteMessages(self):
        self.deleted.clear()

    def sync(self):
        for index in self.deleted:
            self.paths[index].unlink(missing_ok=True)


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatar_id, mind, *interfaces):
        for interface in interfaces:
            if interface is imap4.IAccount:
                return interface, Account(avatar_id), lambda: None
            if interface is pop3.IMailbox:
                return interface, Maildrop(), lambda: None
        raise NotImplementedError


def main() -> None:
    user, password, *ports = sys.argv[2:]
    portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(**{user: password.encode()})])

    def imap(address):
        protocol = imap4.IMAP4Server()
        protocol.portal = portal
        protocol.theAccount = None
        return protocol

    def pop(address):
        protocol = pop3.POP3()
        protocol.portal = portal
        return protocol

    for build, port in zip((imap, pop), ports, strict=True):
        factory = Factory()
        factory.buildProtocol = build
        reactor.listenTCP(int(port), factory, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
