"""imaplib's and IMAPClient's side of the conversation, on a `Connection` that bounds every octet and every wait."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from imapclient import IMAPClient
from msgspec.structs import replace

from reconciler.model.errors import ProtocolViolation
from reconciler.sources.imap.responses import Completed, Fetched, Literal, Mark, number, parse_fetch
from reconciler.wire.connection import Connection

WHOLE = 4 << 20
"""Octets of the largest literal that is kept in memory; larger messages are fetched in parts (hazards 6 and I1)."""
_LITERAL = re.compile(rb"~?\{(\d{1,20})\}$")
_ABSURD = re.compile(rb"\{\d{21,}\}\r\n$")
_WHOLE = re.compile(rb"\* \d{1,10} FETCH \(UID (\d{1,10}) BODY\[\] \{(\d{1,9})\}\r\n")
_LISTED = re.compile(rb"\* \d{1,10} FETCH \(UID (\d{1,10}) RFC822\.SIZE (\d{1,20})\)\r\n")
"""What nearly every server answers with a small message in it, and to a listing, thousands of times: read at once."""
_FETCH = re.compile(rb"\* \d{1,10} FETCH ", re.IGNORECASE)
_TAGGED = re.compile(rb"(OK|NO|BAD)(?: (.*))?", re.IGNORECASE | re.DOTALL)
_VALIDITY = re.compile(rb"\* OK \[UIDVALIDITY (\d{1,20})\]", re.IGNORECASE)
_UNTAGGED = re.compile(rb"\* \d{1,10} [A-Z]+|\* [A-Z]", re.IGNORECASE)

imaplib.Commands["NOTIFY"] = ("AUTH", "SELECTED")  # imaplib runs only what it knows; RFC 5465


class Goodbye(imaplib.IMAP4.abort):
    """The server said BYE."""


class Dialogue(imaplib.IMAP4):
    """imaplib with its socket replaced. Besides what imaplib raises, every method may raise a `SourceError`."""

    def __init__(self, connection: Connection) -> None:
        """Reads the greeting and the capabilities of an open connection."""
        self.connection = connection
        self.read_only = False
        """The folder was opened for writing, and the server does not let us (READ-ONLY)."""
        super().__init__()

    # What imaplib asks of a transport

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002
        self.host, self.port = self.connection.endpoint.host, self.connection.endpoint.port
        self.connection.begin_command()

    def read(self, size: int) -> bytes:
        return self.connection.read(size)

    def readline(self) -> bytes:
        line = self.connection.read_line()
        if _ABSURD.search(line):
            raise self._violation("a literal longer than any number that it can be read as")
        return line

    def send(self, data: bytes) -> None:  # type: ignore[override]  # typeshed has a wider type than anybody sends
        self.connection.send(data)

    def shutdown(self) -> None:
        self.connection.close()

    def _new_tag(self) -> bytes:
        self.connection.begin_command()
        return super()._new_tag()  # type: ignore[misc, no-any-return]  # typeshed leaves it out

    def _log(self, line: bytes) -> None:
        """imaplib remembers the last commands for its dump, passwords too: never here (hazard S6)."""

    def _check_bye(self) -> None:
        if said := self.untagged("BYE"):
            raise Goodbye(_text(said[-1]))

    def _get_capabilities(self) -> None:
        """Many servers tell them in their greeting (RFC 3501, section 7.1), which saves a round trip."""
        if not self.learn_capabilities() or "IMAP4REV1" not in self.capabilities:
            self.refresh_capabilities()

    def _command_complete(self, name: str, tag: bytes) -> tuple[str, list[bytes]]:
        """As imaplib's, but BAD is an answer like NO."""
        leaving = name == "LOGOUT"
        if not leaving:
            self._check_bye()
        status, data = self._get_tagged_response(tag, expect_bye=leaving)
        if not leaving:
            self._check_bye()
        return status, data

    # Beyond imaplib

    def refresh_capabilities(self) -> None:
        """Ask for them; imaplib would stumble over what is not ASCII."""
        self.untagged("CAPABILITY")
        self.run("CAPABILITY")
        self.learn_capabilities()

    def learn_capabilities(self) -> bool:
        """Take over what the server has told of them last; False when it has not."""
        told = self.untagged("CAPABILITY")
        words = told[-1].partition(b"]")[0] if told else b""  # imaplib takes all up to the last `]` for the code's
        self.capabilities = tuple(words.decode("ascii", "replace").upper().split())
        return bool(told)

    def converse(self, name: str, arguments: Sequence[bytes], answer: Callable[[bytes], bytes | None]) -> Completed:
        """A command that goes on whenever the server says `+`: with a line that answers what stands behind it; None
        ends the session, for the server asks for more than there is."""
        self.literal = _Answers(answer).give  # type: ignore[assignment]  # imaplib takes a method, too
        return self.run(name, *arguments)

    def run(self, name: str, *arguments: str | bytes, literal: bytes | None = None) -> Completed:
        """A command and its completion, BAD included; `literal` becomes its last argument."""
        if literal is not None:
            self.literal = literal  # type: ignore[assignment]  # imaplib wants octets
        status, data = self._command_complete(name, self._command(name, *arguments))
        return Completed(status, _text(data[-1]))

    def select_folder(self, name: bytes, *, writable: bool) -> Completed:
        """SELECT or EXAMINE a folder by the octets of its name (hazard I22: they may be anything)."""
        self.untagged_responses = {}
        self.is_readonly = True  # imaplib is not to raise for READ-ONLY: whoever wants to write looks at `read_only`
        plain = name.isascii() and name.decode("ascii").isprintable()
        quoted = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        verb = "SELECT" if writable else "EXAMINE"
        completed = self.run(verb, quoted) if plain else self.run(verb, literal=name)
        self.state = "SELECTED" if completed.ok else "AUTH"
        self.read_only = not writable or bool(self.untagged("READ-ONLY"))
        return completed

    def told_validity(self) -> int | None:
        """The UIDVALIDITY that the server has told since this was asked last, or since the folder was opened."""
        told = self.untagged("UIDVALIDITY") if "UIDVALIDITY" in self.untagged_responses else None
        return number(told[-1], 1 << 62) if told else None

    def untagged(self, name: str) -> list[bytes]:
        """Take what has been received under this name."""
        return [item for item in self.untagged_responses.pop(name, []) if isinstance(item, bytes)]

    def fetch_uids(self, uids: str, items: str) -> Iterator[Fetched | Completed]:
        """UID FETCH: its responses as they come, literals up to `WHOLE` in them, then the completion.

        Raises ProtocolViolation for what cannot be a reply.
        """
        return self.answers({self.ask_uids(uids, items)})

    def ask_uids(self, uids: str, items: str) -> bytes:
        """Send UID FETCH; the tag by which `answers` tells its completion."""
        tag: bytes = self._command("UID", "FETCH", uids, items)
        return tag

    def answers(self, tags: Collection[bytes]) -> Iterator[Fetched | Completed]:
        """What the server sends until the first of the commands with these tags is complete."""
        self.connection.begin_command()
        self.connection.expect_listing()
        while True:
            while whole := self.connection.read_framed(_WHOLE, b")\r\n"):
                (uid, _), body = whole
                yield Fetched({b"UID": uid, b"BODY[]": body})
            while listed := self.connection.read_match(_LISTED):
                uid, size = listed
                yield Fetched({b"UID": uid, b"RFC822.SIZE": size})
            answer = self._answer(tags)
            if answer is not None:
                yield answer
            if isinstance(answer, Completed):
                return

    def _answer(self, tags: Collection[bytes]) -> Fetched | Completed | None:
        line = self.connection.read_line()[:-2]
        if line.startswith(b"* "):
            return self._received(*self._gather(line))
        tag, _, text = line.partition(b" ")
        if tag not in tags:
            raise self._violation("an answer to no command of ours")
        del self.tagged_commands[tag]
        return replace(self._completed(text), tag=tag)

    def _gather(self, line: bytes) -> tuple[bytes, list[Literal]]:
        """A response with its literals, which stand in the text as {size}."""
        literals: list[Literal] = []
        text = line
        kept = 0
        while match := _LITERAL.search(line):
            size = int(match[1])
            literals.append(self._literal(size, keep=kept + size <= 2 * WHOLE))
            kept += min(size, WHOLE)
            line = self.connection.read_line()[:-2]
            text += line
        return text, literals

    def _literal(self, size: int, *, keep: bool) -> Literal:
        """Refuse what nobody could mean, before reading it; pass over what is too large to keep."""
        if size > self.connection.limits.listing:
            raise self._violation(f"a literal of {size} octets, more than any reply may have")
        chunks = self.connection.read_chunks(size)
        if keep and size <= WHOLE:
            return b"".join(chunks)
        for _ in chunks:
            pass
        return Mark.TOO_LARGE

    def _received(self, text: bytes, literals: Sequence[Literal]) -> Fetched | None:
        """Other untagged responses may come at any time (RFC 3501, section 7)."""
        if header := _FETCH.match(text):
            try:
                return parse_fetch(text[header.end():], literals)
            except ValueError as error:
                raise self._violation(f"a FETCH response that cannot be read: {error}") from None
        if text[:6].upper() == b"* BYE ":
            raise Goodbye(_text(text[6:]))
        if validity := _VALIDITY.match(text):
            self.untagged_responses["UIDVALIDITY"] = [validity[1]]
        if not _UNTAGGED.match(text):
            raise self._violation("an untagged response that cannot be read")
        return None

    def _completed(self, text: bytes) -> Completed:
        match = _TAGGED.fullmatch(text)
        if match is None:
            raise self._violation("a completion that is neither OK nor NO nor BAD")
        return Completed(match[1].decode().upper(), _text(match[2] or b""))

    def _violation(self, what: str) -> ProtocolViolation:
        return ProtocolViolation(f"{self.connection.endpoint}: the server sent {what}")


class Client(IMAPClient):
    """IMAPClient over a `Dialogue`. Its logging is silenced: it would format every line, and show passwords."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__(connection.endpoint.host, connection.endpoint.port, ssl=connection.secure)
        self.dialogue.debug = 0

    @property
    def dialogue(self) -> Dialogue:
        dialogue: Dialogue = self._imap
        return dialogue

    def _create_IMAP4(self) -> Dialogue:  # noqa: N802  # IMAPClient's name
        return Dialogue(self._connection)

    def _set_read_timeout(self) -> None:
        """The connection sets time-outs."""


class _Answers:
    """imaplib takes a bound method for a source of literals."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def give(self, challenge: bytes) -> bytes:
        answer = self._answer(challenge)
        if answer is None:
            raise ProtocolViolation("the server asks for more than the login consists of")
        return answer


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "backslashreplace")
