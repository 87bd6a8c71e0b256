"""An IMAP session (RFC 3501, with UIDPLUS of RFC 4315, NAMESPACE of RFC 2342, UNSELECT of RFC
3691)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from demo.mailserver.conversation import Conversation
from demo.mailserver.store import Folder, Message, Store

_LITERAL = re.compile(rb"\{(\d{1,6})\}$")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\((?:[^()"]|"[^"]*"|\([^()]*\))*\))|([^ ]+)')
_ITEM = re.compile(r"(BODY(?:\.PEEK)?)\[([^\]]*)\](?:<(\d+)\.(\d+)>)?|[A-Z0-9.]+", re.IGNORECASE)
_FLAGS = r"(\Answered \Flagged \Deleted \Seen \Draft)"


class Imap:
    """A session of one client."""

    def __init__(self, talk: Conversation, store: Store) -> None:
        self._talk = talk
        self._store = store
        self._user: str | None = None
        self._folder: Folder | None = None
        self._writable = False
        self._shown: list[Message] = []
        """The messages that the client knows. Sequence number n is the n-th of them."""
        self._verbs: dict[str, Callable[[str, list[str]], None]] = {
            "CAPABILITY": self._capability,
            "NOOP": self._noop,
            "STARTTLS": self._start_tls,
            "LOGIN": self._login,
            "AUTHENTICATE": self._authenticate,
        }
        self._logged_in: dict[str, Callable[[str, list[str]], None]] = {
            "LIST": self._list,
            "NAMESPACE": self._namespace,
            "SELECT": self._select,
            "EXAMINE": self._examine,
            "STATUS": self._status,
        }
        self._selected: dict[str, Callable[[str, list[str]], None]] = {
            "FETCH": self._fetch,
            "SEARCH": self._search,
            "STORE": self._store_flags,
            "EXPUNGE": self._expunge,
            "CHECK": self._noop,
            "CLOSE": self._close,
            "UNSELECT": self._unselect,
            "UID": self._uid,
        }

    def run(self) -> None:
        """Answer commands until LOGOUT. Raises the errors of the connection."""
        self._say(f"* OK [CAPABILITY {self._capabilities()}] ready")
        while True:
            tag, verb, arguments = self._command()
            if verb == "LOGOUT":
                self._say("* BYE bye", f"{tag} OK bye")
                return
            known = (
                self._verbs
                | (self._logged_in if self._user is not None else {})
                | (self._selected if self._folder is not None else {})
            )
            answer = known.get(verb)
            if answer is None:
                self._say(f"{tag} BAD not known, or not now")
                continue
            try:
                answer(tag, arguments)
            except (IndexError, ValueError):
                self._say(f"{tag} BAD arguments")

    def _say(self, *lines: str) -> None:
        self._talk.send("".join(f"{line}\r\n" for line in lines).encode())

    def _command(self) -> tuple[str, str, list[str]]:
        line = self._talk.line()
        while literal := _LITERAL.search(line):
            self._say("+ go on")
            octets = (
                self._talk.octets(int(literal[1])).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            )
            line = line[: literal.start()] + b'"' + octets + b'"' + self._talk.line()
        tag, _, rest = line.decode("utf-8", "replace").partition(" ")
        verb, _, rest = rest.partition(" ")
        return tag, verb.upper(), list(_words(rest))

    # Commands in any state

    def _capabilities(self) -> str:
        tls = "" if self._talk.secure else " STARTTLS"
        return f"IMAP4rev1 SASL-IR AUTH=PLAIN NAMESPACE UIDPLUS UNSELECT{tls}"

    def _capability(self, tag: str, _: list[str]) -> None:
        self._say(f"* CAPABILITY {self._capabilities()}", f"{tag} OK done")

    def _noop(self, tag: str, _: list[str]) -> None:
        self._refresh()
        self._say(f"{tag} OK done")

    def _start_tls(self, tag: str, _: list[str]) -> None:
        if self._talk.secure:
            self._say(f"{tag} BAD it is on already")
            return
        self._say(f"{tag} OK begin")
        self._talk.start_tls()

    def _login(self, tag: str, arguments: list[str]) -> None:
        user, password = arguments
        self._admit(tag, user, password)

    def _authenticate(self, tag: str, arguments: list[str]) -> None:
        if arguments[0].upper() != "PLAIN":
            self._say(f"{tag} NO only PLAIN")
            return
        if not arguments[1:]:
            self._say("+ ")
            arguments = [arguments[0], self._talk.line().decode("ascii", "replace")]
        try:
            _, user, password = base64.b64decode(arguments[1], validate=True).decode().split("\0")
        except (binascii.Error, ValueError):
            self._say(f"{tag} BAD arguments")
        else:
            self._admit(tag, user, password)

    def _admit(self, tag: str, user: str, password: str) -> None:
        if not self._store.admits(password):
            self._say(f"{tag} NO [AUTHENTICATIONFAILED] authentication failed")
            return
        self._user = user
        self._say(f"{tag} OK [CAPABILITY {self._capabilities()}] logged in")

    # Commands after login

    def _folders(self) -> dict[str, Folder]:
        return self._store.folders(self._user or "")

    def _list(self, tag: str, arguments: list[str]) -> None:
        reference, pattern = arguments[:2]
        wanted = re.compile(
            re.escape(reference + pattern).replace(r"\*", ".*").replace("%", "[^/]*")
        )
        names = [name for name in self._folders() if wanted.fullmatch(name)] if pattern else []
        self._say(*(f'* LIST () "/" "{name}"' for name in names), f"{tag} OK done")

    def _namespace(self, tag: str, _: list[str]) -> None:
        self._say('* NAMESPACE (("" "/")) NIL NIL', f"{tag} OK done")

    def _select(self, tag: str, arguments: list[str]) -> None:
        self._open(tag, arguments[0], writable=True)

    def _examine(self, tag: str, arguments: list[str]) -> None:
        self._open(tag, arguments[0], writable=False)

    def _open(self, tag: str, name: str, *, writable: bool) -> None:
        self._folder = self._folders().get("INBOX" if name.upper() == "INBOX" else name)
        if self._folder is None:
            self._say(f"{tag} NO [NONEXISTENT] no such folder")
            return
        self._writable = writable
        self._shown, next_uid = self._folder.look()
        self._say(
            f"* FLAGS {_FLAGS}",
            f"* {len(self._shown)} EXISTS",
            "* 0 RECENT",
            f"* OK [UIDVALIDITY {self._folder.validity}]",
            f"* OK [UIDNEXT {next_uid}]",
            f"* OK [PERMANENTFLAGS {_FLAGS if writable else '()'}]",
            f"{tag} OK [{'READ-WRITE' if writable else 'READ-ONLY'}] opened",
        )

    def _status(self, tag: str, arguments: list[str]) -> None:
        folder = self._folders().get(arguments[0])
        if folder is None:
            self._say(f"{tag} NO [NONEXISTENT] no such folder")
            return
        messages, next_uid = folder.look()
        told = {
            "MESSAGES": len(messages),
            "RECENT": 0,
            "UIDNEXT": next_uid,
            "UIDVALIDITY": folder.validity,
            "UNSEEN": sum("\\Seen" not in message.flags for message in messages),
        }
        wanted = [
            f"{item} {told[item]}"
            for item in arguments[1].strip("()").upper().split()
            if item in told
        ]
        self._say(f'* STATUS "{arguments[0]}" ({" ".join(wanted)})', f"{tag} OK done")

    # Commands with a selected folder

    def _refresh(self) -> None:
        """Report new and deleted messages, which is allowed between commands only (RFC 3501,
        section 5.2)."""
        if self._folder is None:
            return
        there, _ = self._folder.look()
        uids = {message.uid for message in there}
        for number in range(len(self._shown), 0, -1):
            if self._shown[number - 1].uid not in uids:
                del self._shown[number - 1]
                self._say(f"* {number} EXPUNGE")
        if len(there) != len(self._shown):
            self._shown = there
            self._say(f"* {len(there)} EXISTS")

    def _uid(self, tag: str, arguments: list[str]) -> None:
        verb, rest = arguments[0].upper(), arguments[1:]
        verbs: dict[str, Callable[..., None]] = {
            "FETCH": self._fetch,
            "SEARCH": self._search,
            "STORE": self._store_flags,
            "EXPUNGE": self._expunge,
        }
        if verb not in verbs:
            self._say(f"{tag} BAD not known")
        else:
            verbs[verb](tag, rest, by_uid=True)

    def _chosen(self, text: str, *, by_uid: bool) -> Iterator[tuple[int, Message]]:
        """Yield sequence number and message for a set such as 1:3,7,9:*."""
        last = (self._shown[-1].uid if by_uid else len(self._shown)) if self._shown else 0
        spans = []
        for part in text.split(","):
            first, _, second = part.partition(":")
            ends = sorted(last if end == "*" else int(end) for end in (first, second or first))
            spans.append((ends[0], ends[1]))
        for number, message in enumerate(self._shown, 1):
            key = message.uid if by_uid else number
            if any(first <= key <= second for first, second in spans):
                yield number, message

    def _fetch(self, tag: str, arguments: list[str], *, by_uid: bool = False) -> None:
        items = list(_ITEM.finditer(" ".join(arguments[1:]).strip("()")))
        for number, message in self._chosen(arguments[0], by_uid=by_uid):
            parts = [self._item(item, message) for item in items]
            if by_uid and not any(item[0].upper() == "UID" for item in items):
                parts.insert(0, f"UID {message.uid}".encode())
            self._talk.send(f"* {number} FETCH (".encode() + b" ".join(parts) + b")\r\n")
        self._say(f"{tag} OK done")

    def _item(self, item: re.Match[str], message: Message) -> bytes:
        name = item[0].upper()
        if item[1]:
            return self._body(item, message)
        match name:
            case "UID":
                return f"UID {message.uid}".encode()
            case "FLAGS":
                return f"FLAGS ({' '.join(sorted(message.flags))})".encode()
            case "RFC822.SIZE":
                return f"RFC822.SIZE {len(message.content)}".encode()
            case "INTERNALDATE":
                return f'INTERNALDATE "{message.arrived:%d-%b-%Y %H:%M:%S %z}"'.encode()
        raise ValueError(name)

    def _body(self, item: re.Match[str], message: Message) -> bytes:
        section = item[2].upper()
        header, separator, text = message.content.partition(b"\r\n\r\n")
        sections = {"": message.content, "HEADER": header + separator, "TEXT": text}
        if section not in sections:
            raise ValueError(section)
        content, where = sections[section], ""
        if item[3] is not None:
            start = int(item[3])
            content, where = content[start : start + int(item[4])], f"<{start}>"
        if item[1].upper() == "BODY" and self._writable:
            message.flags.add("\\Seen")
        return f"BODY[{section}]{where} {{{len(content)}}}\r\n".encode() + content

    def _search(self, tag: str, arguments: list[str], *, by_uid: bool = False) -> None:
        found = list(enumerate(self._shown, 1))
        words = iter(arguments)
        for word in map(str.upper, words):
            if word == "UID":
                wanted = {message.uid for _, message in self._chosen(next(words, ""), by_uid=True)}
                found = [(number, message) for number, message in found if message.uid in wanted]
            elif word in {"DELETED", "SEEN", "FLAGGED", "ANSWERED"}:
                found = [each for each in found if "\\" + word.capitalize() in each[1].flags]
            elif word in {"UNDELETED", "UNSEEN"}:
                found = [
                    each for each in found if "\\" + word[2:].capitalize() not in each[1].flags
                ]
            elif word != "ALL":
                raise ValueError(word)
        keys = "".join(f" {message.uid if by_uid else number}" for number, message in found)
        self._say(f"* SEARCH{keys}", f"{tag} OK done")

    def _store_flags(self, tag: str, arguments: list[str], *, by_uid: bool = False) -> None:
        if not self._writable:
            self._say(f"{tag} NO it is open for reading only")
            return
        what, flags = arguments[1].upper(), set(arguments[2].strip("()").split())
        for number, message in self._chosen(arguments[0], by_uid=by_uid):
            if what.startswith("+"):
                message.flags |= flags
            elif what.startswith("-"):
                message.flags -= flags
            else:
                message.flags = set(flags)
            if not what.endswith(".SILENT"):
                uid = f"UID {message.uid} " if by_uid else ""
                self._say(f"* {number} FETCH ({uid}FLAGS ({' '.join(sorted(message.flags))}))")
        self._say(f"{tag} OK done")

    def _expunge(self, tag: str, arguments: list[str], *, by_uid: bool = False) -> None:
        if self._folder is None or not self._writable:
            self._say(f"{tag} NO it is open for reading only")
            return
        among = self._chosen(arguments[0], by_uid=True) if by_uid else enumerate(self._shown, 1)
        self._folder.remove([message.uid for _, message in among if "\\Deleted" in message.flags])
        self._refresh()
        self._say(f"{tag} OK done")

    def _close(self, tag: str, arguments: list[str]) -> None:
        if self._folder is not None and self._writable:
            self._folder.remove(
                [message.uid for message in self._shown if "\\Deleted" in message.flags]
            )
        self._unselect(tag, arguments)

    def _unselect(self, tag: str, _: list[str]) -> None:
        self._folder = None
        self._say(f"{tag} OK done")


def _words(text: str) -> Iterator[str]:
    """Yield atoms, quoted strings without their quotes, and lists with their parentheses."""
    for found in _WORD.finditer(text):
        yield re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[0]
