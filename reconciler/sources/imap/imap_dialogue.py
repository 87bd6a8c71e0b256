"""imaplib and IMAPClient on a `Connection`, which limits every octet and every wait.

`response_reader` reads the server's responses instead of imaplib, which understands fewer of them
and keeps more in memory. Of an untagged response only the last one is kept, and only where another
module asks for it. Lists are passed on line by line (`ImapDialogue.run`).

One file: both libraries' objects are one connection here, and share its state.
"""

from __future__ import annotations

import imaplib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from imapclient import IMAPClient

from reconciler.model.errors import ProtocolViolation
from reconciler.sources.imap.fetch_responses import (
    Fetched,
    TaggedCompletion,
    number,
    parse_fetch,
    salvage,
)
from reconciler.sources.imap.imap_strings import quoted
from reconciler.sources.imap.response_reader import (
    WHOLE,
    ContinuationRequest,
    ResponseReader,
    UntaggedResponse,
    code,
    decoded,
)
from reconciler.wire.connection import Connection

__all__ = ["WHOLE", "Goodbye", "ImapClient", "ImapDialogue"]

_WHOLE = re.compile(rb"\* \d{1,10} FETCH \(UID (\d{1,10}) BODY\[\] \{(\d{1,9})\}\r\n")
_MANY_LISTED = re.compile(
    rb"(?:\* \d{1,10} FETCH \(UID \d{1,10} RFC822\.SIZE \d{1,20}\)\r\n){1,500}"
)
_ODD = 100
"""Octets by which a line counts for more if it is not read together with others: that takes more
time."""
_LISTED = re.compile(rb"\* \d{1,10} FETCH \(UID (\d{1,10}) RFC822\.SIZE (\d{1,20})\)\r\n")
"""The response of nearly every server for one message of a listing; it comes thousands of times."""
_STATUSES = frozenset(("OK", "NO", "BAD", "PREAUTH"))
_KEPT = frozenset(
    ("CAPABILITY", "EXISTS", "UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ", "READ-ONLY", "NAMESPACE")
)
_HEARD = 100
"""Alerts that are read in a session at most; most of them repeat."""
_CAPABILITIES = 64 << 10
"""Octets of the capabilities that are read: each word becomes a string of its own."""
_VERSIONS = ("IMAP4REV1", "IMAP4REV2", "IMAP4")
Hearer = Callable[[UntaggedResponse], None]

for _name in ("NOTIFY", "ID"):
    # imaplib runs only commands that it knows: RFC 5465, RFC 2971
    imaplib.Commands[_name] = ("NONAUTH", "AUTH", "SELECTED")


class Goodbye(imaplib.IMAP4.abort):
    """The server said BYE."""


class ImapDialogue(imaplib.IMAP4):
    """imaplib with another socket and another reader.

    Every method may raise a `SourceError` in addition to imaplib's own errors.
    """

    def __init__(self, connection: Connection) -> None:
        """Read the greeting and the capabilities of an open connection."""
        self.connection = connection
        self._listened = 0
        self.unread = 0
        """FETCH responses that could not be understood."""
        self.read_only = False
        """The selected folder cannot be changed (EXAMINE, or READ-ONLY from the server)."""
        self._reader = ResponseReader(connection)
        self._hearers: Mapping[str, Hearer] = {}
        self._posted: set[bytes] = set()
        super().__init__()

    # Methods that imaplib calls

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002
        self.host, self.port = self.connection.endpoint.host, self.connection.endpoint.port
        self.connection.begin_command()

    # the type of typeshed is wider than needed
    def send(self, data: bytes) -> None:  # type: ignore[override]
        self.connection.send(data)

    def shutdown(self) -> None:
        self.connection.close()

    def _new_tag(self) -> bytes:
        self.connection.begin_command()
        return super()._new_tag()  # type: ignore[misc, no-any-return]  # typeshed leaves it out

    def _log(self, line: bytes) -> None:
        """Do nothing: imaplib would keep the last commands, passwords too (hazard S6)."""

    def _connect(self) -> None:
        """Read the greeting (RFC 3501, section 7.1) and the capabilities, which it may contain."""
        self.tagpre = b"C"  # type: ignore[assignment]  # octets, other than typeshed says
        greeting = self._reader.read()
        if not isinstance(greeting, UntaggedResponse) or greeting.name not in (
            "OK",
            "PREAUTH",
            "BYE",
        ):
            raise ProtocolViolation(
                f"{self.connection.endpoint}: the server does not greet as IMAP servers do"
            )
        self._take_untagged(greeting)
        self.state = "AUTH" if greeting.name == "PREAUTH" else "NONAUTH"
        if not self.learn_capabilities() or "IMAP4REV1" not in self.capabilities:
            self.refresh_capabilities()
        if not any(version in self.capabilities for version in _VERSIONS):
            raise self._violation("no capabilities by which it could be known for an IMAP server")

    def _get_response(self) -> bytes | None:
        """Read one response for imaplib's own loops; None where the server waits for more."""
        response = self._reader.read()
        if isinstance(response, ContinuationRequest):
            self.continuation_response = response.text  # type: ignore[assignment]  # the same
            return None
        if isinstance(response, UntaggedResponse):
            self._take_untagged(response)
            return b"*"
        if response.tag not in self.tagged_commands:
            raise self._violation("an answer to no command of ours")
        if self._answers_post(response):
            return response.tag
        self._note_code(response.text.encode("utf-8", "backslashreplace"))
        # only this class reads it
        self.tagged_commands[response.tag] = response  # type: ignore[assignment]
        return response.tag

    def _command_complete(self, name: str, tag: bytes) -> tuple[str, list[bytes]]:  # noqa: ARG002
        """Complete one of imaplib's own commands; BAD does not raise, like NO."""
        completed = self._complete(tag)
        return completed.status, [completed.text.encode()]

    # Beyond imaplib

    def post(self, name: str, *arguments: bytes) -> None:
        """Send a command whose completion is of no interest; later commands read over it."""
        self._posted.add(self._command(name, *arguments))

    def refresh_capabilities(self) -> None:
        """Ask for the capabilities, which some servers send in several lines."""
        self.untagged("CAPABILITY")
        capabilities: list[bytes] = []
        self.run(
            "CAPABILITY",
            hear={"CAPABILITY": lambda response: capabilities.append(response.text)},
            listing=False,
        )
        capabilities += self.untagged("CAPABILITY") if not capabilities else []
        self.untagged_responses["CAPABILITY"] = [b" ".join(capabilities)] if capabilities else []
        self.learn_capabilities()

    def learn_capabilities(self) -> bool:
        """Take over the capabilities that the server sent last; return False without any."""
        capabilities = self.untagged("CAPABILITY")
        named = capabilities[-1][:_CAPABILITIES].decode("ascii", "replace") if capabilities else ""
        self.capabilities = tuple(named.upper().strip("() ").split())
        return bool(capabilities)

    def converse(
        self, name: str, arguments: Sequence[bytes], answer: Callable[[bytes], bytes | None]
    ) -> TaggedCompletion:
        """Run a command and answer each `+` of the server with a further line.

        `answer` gets the text after the `+`. Where it returns None, the server asks for too much:
        raises ProtocolViolation.
        """
        # imaplib also accepts a method
        self.literal = _LiteralSource(answer).give  # type: ignore[assignment]
        return self.run(name, *arguments)

    def run(
        self,
        name: str,
        *arguments: str | bytes,
        literal: bytes | None = None,
        hear: Mapping[str, Hearer] | None = None,
        listing: bool = True,
    ) -> TaggedCompletion:
        """Run a command and return its completion, BAD included.

        `literal` becomes its last argument. `hear` has functions by the names of untagged
        responses; each is called with every such response. A `listing` may have very many.
        """
        if literal is not None:
            self.literal = literal  # type: ignore[assignment]  # imaplib wants octets
        self._hearers = hear or {}
        tag: bytes = self._command(name, *arguments)
        if hear and listing:
            self.connection.expect_listing()
        return self._complete(tag)

    def _complete(self, tag: bytes) -> TaggedCompletion:
        while (completed := self.tagged_commands[tag]) is None:
            self._get_response()
        del self.tagged_commands[tag]
        self._hearers = {}
        # `_get_response` stores nothing else
        assert isinstance(completed, TaggedCompletion)  # noqa: S101
        return completed

    def select_folder(self, name: bytes, *, writable: bool) -> TaggedCompletion:
        """SELECT or EXAMINE a folder by the octets of its name, which may be any (hazard I22).

        A name that servers may read differently in quotes is sent as a literal.
        """
        self.untagged_responses = {}
        # Keeps imaplib from raising for READ-ONLY; callers that write check `read_only`.
        self.is_readonly = True
        plain = (
            name.isascii()
            and name.decode("ascii").isprintable()
            and b"\\" not in name
            and b'"' not in name
        )
        verb = "SELECT" if writable else "EXAMINE"
        completed = self.run(verb, quoted(name)) if plain else self.run(verb, literal=name)
        self.state = "SELECTED" if completed.ok else "AUTH"
        self.read_only = not writable or bool(self.untagged("READ-ONLY"))
        return completed

    def announced_validity(self) -> int | None:
        """Return the UIDVALIDITY that came since the last call, or since the folder was opened."""
        validities = (
            self.untagged("UIDVALIDITY") if "UIDVALIDITY" in self.untagged_responses else None
        )
        return number(validities[-1].strip(b'"'), 1 << 62) if validities else None

    def untagged(self, name: str) -> list[bytes]:
        """Remove and return the last untagged response of this name, in a list of at most one."""
        return [item for item in self.untagged_responses.pop(name, []) if isinstance(item, bytes)]

    def fetch_uids(self, uids: str, items: str) -> Iterator[Fetched | TaggedCompletion]:
        """Run UID FETCH; yield its responses with literals of up to `WHOLE` octets, then its
        completion.

        Raises ProtocolViolation for what cannot be a reply.
        """
        return self.answers({self.ask_uids(uids, items)}, bodies="[" in items)

    def fetch_sizes(
        self, uids: str, take: Callable[[list[tuple[bytes, bytes]]], object], *, octets: int
    ) -> Iterator[Fetched | TaggedCompletion]:
        """Fetch UIDs and sizes; the reply may have `octets`.

        `take` gets the digits of many messages at once, where the server uses the usual form. Other
        responses are yielded as by `fetch_uids`, and count `_ODD` octets more each.
        """
        tag = self.ask_uids(uids, "(UID RFC822.SIZE)")
        self.connection.begin_command()
        self.connection.expect_listing(octets=octets)
        while True:
            while lines := self.connection.read_run(_MANY_LISTED):
                take(_LISTED.findall(lines))
            answer = self._answer((tag,), bodies=False)
            if answer is not None:
                yield answer
            if isinstance(answer, TaggedCompletion):
                return
            self.connection.count(_ODD)

    def ask_uids(self, uids: str, items: str) -> bytes:
        """Send UID FETCH; return its tag for `answers`."""
        tag: bytes = self._command("UID", "FETCH", uids, items)
        return tag

    def answers(
        self, tags: Collection[bytes], *, bodies: bool = True
    ) -> Iterator[Fetched | TaggedCompletion]:
        """Yield responses until the first of the commands with these tags is complete.

        `bodies`: contents were asked for. The caller passes those of other messages to `unasked`.
        """
        self.connection.begin_command()
        self.connection.expect_listing(slow=not bodies)
        while True:
            while bodies and (whole := self.connection.read_framed(_WHOLE, b")\r\n")):
                (uid, _), body = whole
                yield Fetched({b"UID": uid, b"BODY[]": body})
            while listed := self.connection.read_match(_LISTED):
                uid, size = listed
                yield Fetched({b"UID": uid, b"RFC822.SIZE": size})
            answer = self._answer(tags, bodies=bodies)
            if answer is not None:
                yield answer
            if isinstance(answer, TaggedCompletion):
                return

    def keep_large(self, octets: int) -> None:
        """Keep literals of `WHOLE` to `octets` in a file from now on; 0: pass over them."""
        self._reader.largest = octets

    def unasked(self, response: Fetched) -> None:
        """Count the contents of an unwanted response for the limit of the reply."""
        self.connection.count(
            sum(len(value) for value in response.attributes.values() if isinstance(value, bytes))
        )

    def _answer(
        self, tags: Collection[bytes], *, bodies: bool
    ) -> Fetched | TaggedCompletion | None:
        self._reader.bodies = bodies
        try:
            response = self._reader.read()
        finally:
            self._reader.bodies = False
        if isinstance(response, UntaggedResponse):
            if response.name == "FETCH":
                return self._fetched(response)
            self._take_untagged(response)
            return None
        if isinstance(response, TaggedCompletion) and self._answers_post(response):
            return None
        if isinstance(response, ContinuationRequest) or response.tag not in tags:
            raise self._violation("an answer to no command of ours")
        del self.tagged_commands[response.tag]
        return response

    def _answers_post(self, response: TaggedCompletion) -> bool:
        if response.tag not in self._posted:
            return False
        self._posted.remove(response.tag)
        self.tagged_commands.pop(response.tag, None)
        return True

    def _fetched(self, response: UntaggedResponse) -> Fetched | None:
        """Return the parsed response; None where it cannot be parsed and has no message.

        Messages that are missing then are asked for again singly.
        """
        try:
            return parse_fetch(response.text, response.literals)
        except ValueError as error:
            found = None if response.literals else salvage(response.text)
            if response.literals and b"BODY" in response.text.upper():
                raise self._violation(f"a FETCH response that cannot be read: {error}") from None
            self.unread += found is None
            return found

    def _take_untagged(self, response: UntaggedResponse) -> None:
        """Take an untagged response, which may come at any time (RFC 3501, section 7)."""
        name = response.name
        if hearer := self._hearers.get(name):
            hearer(response)
        elif name in _STATUSES:
            self._note_code(response.text)
        elif name == "BYE":
            self._note_code(response.text)
            raise Goodbye(decoded(response.text))
        elif name in _KEPT:
            self.untagged_responses[name] = [
                response.text if response.number is None else b"%d" % response.number
            ]

    def _note_code(self, text: bytes) -> None:
        found = code(text)
        if found is None:
            return
        if found[0] in _KEPT:
            self.untagged_responses[found[0]] = [found[1]]
        elif found[0] == "ALERT" and self._listened < _HEARD:
            self._listened += 1
            # a text for people (RFC 3501, section 7.1)
            self.connection.alert(decoded(text.partition(b"]")[2]).strip())

    def _violation(self, what: str) -> ProtocolViolation:
        return ProtocolViolation(f"{self.connection.endpoint}: the server sent {what}")


class ImapClient(IMAPClient):
    """IMAPClient over an `ImapDialogue`.

    Its logging is silenced: it would format every line and show passwords.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        super().__init__(connection.endpoint.host, connection.endpoint.port, ssl=connection.secure)
        self.dialogue.debug = 0

    @property
    def dialogue(self) -> ImapDialogue:
        dialogue: ImapDialogue = self._imap
        return dialogue

    def _create_IMAP4(self) -> ImapDialogue:  # noqa: N802  # IMAPClient's name
        return ImapDialogue(self._connection)

    def _set_read_timeout(self) -> None:
        """Do nothing: the connection sets the time-outs."""


class _LiteralSource:
    """The source of literals for imaplib, which must be a bound method."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def give(self, challenge: bytes) -> bytes:
        answer = self._answer(challenge)
        if answer is None:
            raise ProtocolViolation("the server asks for more than the login consists of")
        return answer
