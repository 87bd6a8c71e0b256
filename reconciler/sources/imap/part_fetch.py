"""Fetch one message alone, in parts (BODY.PEEK[]<offset.size>, RFC 3501, section 6.4.5).

The parts are as large as the server makes them: some servers send less than was asked for, some
send the whole message. Only one part is in memory at a time.

IMAP cannot carry NUL; where a message contains it, Dovecot sends 0x80 instead. BINARY (RFC 3516)
can carry it. So a content that looks replaced is requested again with BINARY.PEEK[]. That gives the
same octets except for the NULs, unless the message has parts to be decoded; then the message stays
as IMAP shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Arrival, Listed, Unfetched
from reconciler.sources.imap.fetch_responses import LargeLiteral, TaggedCompletion, Value
from reconciler.sources.imap.imap_dialogue import WHOLE, ImapClient
from reconciler.sources.imap.imap_refusals import ImapRefusals, throttles

_WHOLE, _FIRST = b"BODY[]", b"BODY[]<0>"
_EMPTY = "the server sent nothing, although it announced a size"
_NOT_SENT = "the server says that it is done and did not send it"
PART = 1 << 20
"""Octets that are asked for with one command."""
_SLACK = 64 << 20
"""A message may have twice the announced octets and so many more."""


def is_large(listed: Listed) -> bool:
    """Return whether a message is fetched in parts: it is large, or its size is not known."""
    return listed.size is None or listed.size > WHOLE


def shortfall(announced: int | None, came: int) -> str:
    """Return why so few octets may be something else in the message's place, "" for no reason.

    That may be a text that says that the message could not be retrieved. Sizes are hints (hazard
    I6): some servers estimate them, Exchange by some hundredths, so a quarter must be missing.
    """
    if announced is None or 4 * came >= 3 * announced:
        return ""
    return f"{announced} octets were announced and {came} came"


class _Part(Struct, frozen=True):
    """The content of one response; `name` is the item's name as the server spelled it."""

    body: bytes | LargeLiteral
    name: bytes

    def chunks(self) -> Iterator[bytes]:
        return self.body.chunks() if isinstance(self.body, LargeLiteral) else iter((self.body,))


class PartFetch:
    """Fetches single messages from the selected folder."""

    def __init__(self, client: ImapClient, failures: ImapRefusals) -> None:
        self._dialogue = client.dialogue
        self._failures = failures
        self._binary = "BINARY" in client.dialogue.capabilities

    def fetch(self, listed: Listed) -> Arrival | Unfetched:
        """Fetch the first part now, the others as the content is read.

        A large message of which the server makes no parts is asked for as a whole.
        """
        first = self._not_empty(listed, self._part(listed, 0))
        if isinstance(first, Unfetched) and is_large(listed):
            whole = self._not_empty(listed, self._sent(listed, "BODY.PEEK[]", (_WHOLE,)))
            first = first if isinstance(whole, Unfetched) else whole
        if isinstance(first, Unfetched):
            return first
        content = _PartCounter(listed)
        return Arrival(listed, content.counted(self._content(listed, first)), content.doubt)

    @staticmethod
    def _not_empty(listed: Listed, part: _Part | Unfetched) -> _Part | Unfetched:
        empty = isinstance(part, _Part) and not part.body and listed.size != 0
        return Unfetched(listed, _EMPTY) if empty else part

    def _content(self, listed: Listed, first: _Part) -> Iterator[bytes]:
        """Yield the content until a part is empty.

        It also ends with a part of an unexpected length after the announced size. That size is only
        a hint (hazard I6). Raises ProtocolViolation where a part is missing or the message does not
        end.
        """
        bound = None if listed.size is None else 2 * listed.size + _SLACK
        part, offset = first, 0
        while part.body:
            yield from part.chunks()
            length = len(part.body)
            offset += length
            if length > PART if listed.size is None else length != PART and offset >= listed.size:
                return
            if bound is not None and offset > bound:
                raise self._violation(
                    f"a message of announced {listed.size} octets does not end after {offset}"
                )
            following = self._part(listed, offset)
            if isinstance(following, Unfetched):
                if listed.size is not None and offset >= listed.size:
                    return  # NIL, or NO, beyond the end
                raise self._violation(
                    f"message {listed.key} broke off after {offset} octets: {following.reason}"
                )
            if following.name == first.name and _alike(following.body, first.body):
                if length != PART:
                    return  # the whole again, whatever part is asked for
                raise self._violation(f"message {listed.key} begins anew after {offset} octets")
            if following.name == _FIRST or (following.name == _WHOLE != first.name):
                raise self._violation(
                    f"message {listed.key} broke off after {offset} octets: another part came"
                )
            part = following

    def _part(self, listed: Listed, offset: int) -> _Part | Unfetched:
        """Fetch the part at `offset`, with its NULs where the server can send them."""
        part = self._partial(listed, "BODY", offset)
        if (
            isinstance(part, _Part)
            and isinstance(part.body, bytes)
            and self.looks_replaced(part.body)
        ):
            original = self._partial(listed, "BINARY", offset)
            if (
                isinstance(original, _Part)
                and isinstance(original.body, bytes)
                and original.body.replace(b"\0", b"\x80") == part.body
            ):
                return _Part(original.body, part.name)
        return part

    def _partial(self, listed: Listed, item: str, offset: int) -> _Part | Unfetched:
        """Fetch the part at `offset` of BODY or BINARY."""
        # A server may leave out the part's offset, or send the beginning whatever was asked for.
        names = (f"{item}[]<{offset}>".encode(), f"{item}[]<0>".encode(), f"{item}[]".encode())
        return self._sent(listed, f"{item}.PEEK[]<{offset}.{PART}>", names)

    def _sent(self, listed: Listed, item: str, names: Sequence[bytes]) -> _Part | Unfetched:
        """Ask for `item`; return the one body that comes under one of `names`."""
        uid = int(listed.key)
        found: list[tuple[Value, bytes]] = []
        completed = TaggedCompletion("OK", "")
        self._dialogue.keep_large(2 * (listed.size or 0) + _SLACK)
        try:
            for response in self._dialogue.fetch_uids(listed.key, f"(UID {item})"):
                if isinstance(response, TaggedCompletion):
                    completed = response
                elif (
                    response.uid == uid
                    and len(found) < 2
                    and any(name in response.attributes for name in names)
                ):
                    found.extend(
                        (value, name)
                        for name, value in response.attributes.items()
                        if name in names
                    )
                else:
                    self._dialogue.unasked(response)
        finally:
            self._dialogue.keep_large(0)
        if not completed.ok:
            later = (
                self._failures.refused("fetching", completed.text)
                if throttles(completed.text)
                else None
            )
            return Unfetched(
                listed, f"the server refused it: {self._failures.shown(completed.text)}", later
            )
        return _judged(listed, found)

    def looks_replaced(self, body: bytes) -> bool:
        """Return whether 0x80 seems to stand for NUL: it is no UTF-8, and BINARY is offered."""
        if not self._binary or b"\x80" not in body:
            return False
        try:
            body.decode()
        except UnicodeDecodeError:
            return True
        return False

    def _violation(self, what: str) -> ProtocolViolation:
        return ProtocolViolation(f"{self._dialogue.connection.endpoint}: {what}")


class _PartCounter:
    """Counts the octets that came of a message in parts."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._octets = 0

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._octets += len(chunk)
            yield chunk

    def doubt(self) -> str:
        return shortfall(self._listed.size, self._octets)


def _alike(one: bytes | LargeLiteral, other: bytes | LargeLiteral) -> bool:
    """Return whether two bodies are equal; large ones are compared by length only."""
    return (
        len(one) == len(other)
        if isinstance(one, LargeLiteral) and isinstance(other, LargeLiteral)
        else one == other
    )


def _judged(listed: Listed, found: Sequence[tuple[Value, bytes]]) -> _Part | Unfetched:
    """Return the one body that came, or why there is none."""
    if not found:
        return Unfetched(listed, _NOT_SENT)
    body, name = found[0]
    if any(other != body for other, _ in found):
        return Unfetched(listed, "the server sent it twice, with different content")
    if not isinstance(body, bytes | LargeLiteral):
        return Unfetched(listed, "the server sent no content for it (NIL)")
    return _Part(body, name)
