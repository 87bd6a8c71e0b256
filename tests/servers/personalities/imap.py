"""An IMAP server that speaks as its personality does (RFC 3501 with UIDPLUS, IDLE, ID where that
offers them)."""

from __future__ import annotations

import base64
import re
import ssl
import threading
from collections.abc import Callable, Iterator

from tests.servers.personalities.store import Personality, Store
from tests.servers.scripted import Client, Gone, Scripted

_SET = re.compile(rb"(\d+|\*)(?::(\d+|\*))?")
_PART = re.compile(rb"BODY\.PEEK\[\]<(\d+)\.(\d+)>")
VALIDITY = 1273502441


class Imap:
    """Serves `store`. `idling` is set whenever a client waits for news; `tell` is how they come."""

    def __init__(
        self, personality: Personality, store: Store, tls: ssl.SSLContext | None = None
    ) -> None:
        self.personality, self.store = personality, store
        self.idling = threading.Event()
        self._clients: list[Client] = []
        self._tls = tls if personality.starttls else None
        self.server = Scripted(self._serve, tls=None if personality.starttls else tls)

    def __enter__(self) -> Imap:
        self.server.__enter__()
        return self

    def __exit__(self, *of: object) -> None:
        self.server.__exit__(*of)  # type: ignore[arg-type]  # as it comes

    def tell(self, text: bytes) -> None:
        """A message arrives, and whoever idles hears of it."""
        inbox = self.store.inbox
        inbox[max(inbox, default=0) + 1] = text
        for client in self._clients:
            client.send(b"* %d EXISTS\r\n" % len(inbox))

    def _serve(self, client: Client) -> None:
        one = self.personality
        if self.store.throttled and one.throttled_at == "greeting":
            client.send(one.throttled + b"\r\n")
            return
        client.send(one.greeting + b"\r\n")
        if self._tls is not None:
            while (command := self._command(client))[1] != b"STARTTLS":
                client.send(b"* CAPABILITY %s\r\n" % one.before + command[0] + b" OK done\r\n")
            client.send(command[0] + b" OK begin\r\n")
            client.start_tls(self._tls)
        _Session(self, client).run()

    @staticmethod
    def _command(client: Client) -> tuple[bytes, bytes, bytes]:
        tag, _, rest = client.line().partition(b" ")
        verb, _, arguments = rest.partition(b" ")
        while literal := re.search(rb"\{\d+\}$", arguments):
            client.send(b"+ go on\r\n")
            arguments = arguments[: literal.start()] + client.line()
        return tag, verb.upper(), arguments


class _Session:
    def __init__(self, server: Imap, client: Client) -> None:
        self.server, self.client = server, client
        self.one, self.store = server.personality, server.store
        self.in_ = self.identified = self.writable = False
        self.folder: dict[int, bytes] = {}
        self.name = ""
        self.sent = 0

    def run(self) -> None:
        while True:
            tag, verb, arguments = self.server._command(self.client)
            if verb == b"UID":
                verb, _, arguments = arguments.partition(b" ")
                verb = b"UID " + verb.upper()
            handler = getattr(self, "_" + verb.decode("ascii").lower().replace(" ", "_"), None)
            if handler is None:
                self.end(tag, b"BAD Unknown command")
                continue
            completion = handler(arguments)
            if completion is None:
                return
            self.end(tag, completion)
            if verb == b"LOGOUT":
                return

    def end(self, tag: bytes, completion: bytes) -> None:
        self.client.send(
            tag + b" " + completion + (b"\n" if "lone-lf" in self.one.quirks else b"\r\n")
        )

    def say(self, *lines: bytes) -> None:
        star = b"*  " if "spaced" in self.one.quirks else b"* "
        self.client.send(b"".join(star + line + b"\r\n" for line in lines))

    # -- before and around the login

    def _capability(self, _: bytes) -> bytes:
        told = self.one.after if self.in_ else self.one.before
        if self.server._tls is not None:
            told = told.replace(b" STARTTLS", b"")
        self.say(b"CAPABILITY " + told)
        return b"OK CAPABILITY completed"

    def _noop(self, _: bytes) -> bytes:
        return b"OK NOOP completed"

    def _enable(self, _: bytes) -> bytes:
        return b"OK ENABLE completed"

    def _logout(self, _: bytes) -> bytes:
        self.client.send(self.one.goodbye + b"\r\n")
        return b"OK LOGOUT completed"

    def _id(self, arguments: bytes) -> bytes:
        if b"ID" not in self.one.before.upper().split() + self.one.after.upper().split():
            return b"BAD Unknown command"
        self.identified = b'"name"' in arguments.lower()
        self.store.identified += self.identified
        self.say(b"ID NIL")
        return b"OK ID completed"

    def _login(self, arguments: bytes) -> bytes:
        if "sasl-only" in self.one.quirks:
            return self._checked(None)
        words = re.findall(rb'"((?:\\.|[^"\\])*)"|(\S+)', arguments)
        given = [re.sub(rb"\\(.)", rb"\1", quoted) or plain for quoted, plain in words]
        return self._checked(given[1].decode() if len(given) == 2 else None)

    def _authenticate(self, arguments: bytes) -> bytes:
        mechanism, _, initial = arguments.partition(b" ")
        if b"AUTH=" + mechanism.upper() not in self.one.before.upper().split():
            return b"BAD Unknown authentication mechanism"
        if initial and "no-sasl-ir" in self.one.quirks:
            return b"BAD Request not ending with \\r\\n"
        answers = [initial] if initial else []
        while len(answers) < (2 if mechanism.upper() == b"LOGIN" else 1):
            self.client.send(b"+ \r\n" if mechanism.upper() != b"LOGIN" else b"+ VXNlcm5hbWU6\r\n")
            answers.append(self.client.line())
        if "login-only" in self.one.quirks:
            return self._checked(None)
        last = base64.b64decode(answers[-1]).decode()
        return self._checked(last.rpartition("\0")[2])

    def _checked(self, password: str | None) -> bytes:
        self.store.logins += 1
        if self.store.throttled and self.one.throttled_at == "LOGIN":
            return self.one.throttled
        if password != self.store.password:
            return self.one.wrong
        self.in_ = True
        if self.one.tells == "untagged":
            self.say(b"CAPABILITY " + self.one.after)
        if self.one.tells == "code":
            status, _, text = self.one.logged_in.partition(b" ")
            return status + b" [CAPABILITY " + self.one.after + b"] " + text
        return self.one.logged_in

    # -- folders

    def _namespace(self, _: bytes) -> bytes:
        if b"NAMESPACE" not in self.one.after.upper().split():
            return b"BAD Unknown command"
        self.say(b"NAMESPACE " + self.one.namespace)
        return b"OK NAMESPACE completed"

    def _list(self, _: bytes, verb: bytes = b"LIST") -> bytes:
        delimiter = self.one.delimiter.replace(b"\\", b"\\\\")
        for name, flags in {self.one.inbox: b"\\HasNoChildren", **self.one.folders}.items():
            shown = (
                name
                if "unquoted" in self.one.quirks
                else b'"' + name.replace(b"\\", b"\\\\") + b'"'
            )
            self.say(verb + b" (" + flags + b') "' + delimiter + b'" ' + shown)
        return b"OK " + verb + b" completed"

    def _xlist(self, arguments: bytes) -> bytes:
        if b"XLIST" not in self.one.after.upper().split():
            return b"BAD Unknown command"
        return self._list(arguments, b"XLIST")

    def _examine(self, arguments: bytes, verb: bytes = b"EXAMINE") -> bytes:
        if "needs-id" in self.one.quirks and not self.identified:
            return b"NO " + verb + b" Unsafe Login. Please contact kefu@188.com for help"
        if self.store.throttled and self.one.throttled_at == "EXAMINE":
            return self.one.throttled
        quoted = arguments.startswith(b'"')
        name = (re.sub(rb"\\(.)", rb"\1", arguments[1:-1]) if quoted else arguments).decode()
        if name.upper() == "INBOX":
            name = next(iter(self.store.folders))
        if name not in self.store.folders:
            return b"NO [NONEXISTENT] Unknown Mailbox"
        self.folder, self.name, self.writable = self.store.folders[name], name, verb == b"SELECT"
        self.say(
            b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
            b"%d EXISTS" % len(self.folder),
            b"0 RECENT",
            b"OK [UIDVALIDITY %d] UIDs valid" % VALIDITY,
            b"OK [UIDNEXT %d] Predicted next UID" % (max(self.folder, default=0) + 1),
        )
        if "no-text" in self.one.quirks:
            self.say(b"OK [HIGHESTMODSEQ 1234]")
        return b"OK [READ-WRITE] done" if self.writable else b"OK [READ-ONLY] done"

    def _select(self, arguments: bytes) -> bytes:
        return self._examine(arguments, b"SELECT")

    # -- messages

    def _chosen(self, text: bytes) -> list[int]:
        largest = max(self.folder, default=0)
        chosen: set[int] = set()
        for first, last in _SET.findall(text):
            low, high = (largest if end == b"*" else int(end) for end in (first, last or first))
            chosen |= {uid for uid in self.folder if min(low, high) <= uid <= max(low, high)}
        return sorted(chosen)

    def _uid_fetch(self, arguments: bytes) -> bytes | None:
        uids, _, items = arguments.partition(b" ")
        bad = False
        for uid in self._chosen(uids):
            if b"BODY" not in items:
                self.say(
                    b"%d FETCH (UID %d RFC822.SIZE %d)"
                    % (self._number(uid), uid, len(self.folder[uid]))
                )
            elif b"HEADER" in items:
                self._literal(uid, items, self.folder[uid].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            elif uid in self.store.poisoned:
                if self.one.poison == "bye":
                    self.client.send(b"* BYE " + self.one.poisoned + b"\r\n")
                    return None
                if self.one.poison == "close":
                    return None
                if self.one.poison == "nil":
                    self.say(b"%d FETCH (UID %d BODY[] NIL)" % (self._number(uid), uid))
                bad |= self.one.poison in {"no", "bad"}
            else:
                if self.store.drop_after and self.sent == self.store.drop_after:
                    self.store.drop_after = 0
                    raise Gone
                self._literal(uid, items, self.folder[uid])
                self.sent += 1
        return self.one.poisoned if bad else b"OK FETCH completed"

    def _literal(self, uid: int, items: bytes, text: bytes) -> None:
        part = _PART.search(items)
        name = b"BODY[]"
        if part:
            text, name = text[int(part[1]) : int(part[1]) + int(part[2])], b"BODY[]<%s>" % part[1]
        elif b"HEADER" in items:
            name = b"BODY[HEADER]"
        self.say(
            b"%d FETCH (UID %d %s {%d}\r\n%s)" % (self._number(uid), uid, name, len(text), text)
        )

    def _number(self, uid: int) -> int:
        return sorted(self.folder).index(uid) + 1

    def _uid_search(self, arguments: bytes) -> bytes:
        wanted = arguments.upper()
        found: Iterator[int] = (
            uid
            for uid in sorted(self.folder)
            if b"DELETED" not in wanted or (self.name, uid) in self.store.deleted
        )
        if match := re.search(rb"UID ([\d:,*]+)", wanted):
            within = set(self._chosen(match[1]))
            found = (uid for uid in list(found) if uid in within)
        self.say(b" ".join([b"SEARCH", *(b"%d" % uid for uid in found)]))
        return b"OK SEARCH completed"

    def _uid_store(self, arguments: bytes) -> bytes:
        uids, _, rest = arguments.partition(b" ")
        if not self.writable:
            return b"NO the folder is read-only"
        for uid in self._chosen(uids):
            if b"\\DELETED" in rest.upper() and rest.upper().startswith(b"+"):
                self.store.deleted.add((self.name, uid))
        return b"OK STORE completed"

    def _uid_expunge(self, arguments: bytes) -> bytes:
        if b"UIDPLUS" not in self.one.after.upper().split():
            return b"BAD Unknown command"
        return self._expunged(lambda uid: uid in self._chosen(arguments))

    def _expunge(self, _: bytes) -> bytes:
        return self._expunged(lambda uid: True)

    def _expunged(self, asked: Callable[[int], bool]) -> bytes:
        for uid in [
            uid for uid in self.folder if (self.name, uid) in self.store.deleted and asked(uid)
        ]:
            self.say(b"%d EXPUNGE" % self._number(uid))
            del self.folder[uid]
            self.store.deleted.discard((self.name, uid))
        return b"OK EXPUNGE completed"

    def _idle(self, _: bytes) -> bytes | None:
        if not self.one.idles:
            return b"BAD Unknown command"
        self.client.send(b"+ idling\r\n")
        self.server._clients.append(self.client)
        self.server.idling.set()
        try:
            self.client.line()
        finally:
            self.server._clients.remove(self.client)
        return b"OK IDLE terminated"
