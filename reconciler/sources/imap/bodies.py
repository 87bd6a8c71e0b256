"""Messages as they are stored, fetched without touching their flags: BODY.PEEK[] (RFC 3501, 6.4.5).

Small ones come many to a command and are held in memory one at a time: a message is handed on only when the response
around it has been read and makes sense. Large ones come in parts. Whatever is odd about one message (refused, sent
twice, NIL) concerns that one alone: it is asked for again by itself, and `Unfetched` at worst.

Where a message holds NUL, which IMAP cannot carry, Dovecot sends 0x80 instead. BINARY (RFC 3516) can carry it: what
looks replaced is asked for again with BINARY.PEEK[], which gives the same octets but for the NULs, unless the message
has parts to be decoded; then the message stays as IMAP shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Arrival, Listed, Unfetched, Vanished
from reconciler.model.messages import Fetched as Outcome
from reconciler.sources.imap.dialogue import Client
from reconciler.sources.imap.failures import Failures, throttles
from reconciler.sources.imap.responses import Completed, Fetched, Mark, Value
from reconciler.sources.imap.search import search_uids
from reconciler.sources.imap.uids import uid_sets

_EMPTY = "the server sent nothing, although it announced a size"
PART = 1 << 20
"""Octets of a part; a message announced as larger, or with no size, is fetched in parts."""


class Bodies:
    """Fetches from the folder that is selected."""

    def __init__(self, client: Client, failures: Failures) -> None:
        self._dialogue = client.dialogue
        self._failures = failures
        self._binary = "BINARY" in client.dialogue.capabilities

    def fetch(self, messages: Sequence[Listed]) -> Iterator[Outcome]:
        """Each message once; in order, but what has to be asked for again comes after its batch."""
        for large, group in groupby(messages, key=_is_large):
            if large:
                yield from map(self._alone, group)
            else:
                yield from self._together({int(listed.key): listed for listed in group})

    # Many to a command

    def _together(self, batch: Mapping[int, Listed]) -> Iterator[Outcome]:
        for uids, members in uid_sets(batch):
            yield from self._batch(uids, {uid: listed for uid, listed in batch.items() if uid in members})

    def _batch(self, uids: str, wanted: Mapping[int, Listed]) -> Iterator[Outcome]:
        again: set[int] = set()
        missing = set(wanted)
        for uid, body in self._trusted(uids, wanted, again):
            if body is Mark.TOO_LARGE or (isinstance(body, bytes) and self._looks_replaced(body)):
                again.add(uid)
            elif isinstance(body, bytes) and (body or wanted[uid].size == 0):
                missing.discard(uid)
                yield Arrival(wanted[uid], iter((body,)))
        yield from (self._alone(wanted[uid]) for uid in wanted if uid in again)
        yield from self._account_for([wanted[uid] for uid in wanted if uid in missing - again])

    def _account_for(self, missing: Sequence[Listed]) -> Iterator[Outcome]:
        """What did not come, or came as NIL, was expunged by somebody else (hazard I12), or is asked for by itself
        (hazards I4, I16)."""
        there = self._existing(missing) if missing else frozenset()
        for listed in missing:
            yield self._in_parts(listed) if int(listed.key) in there else Vanished(listed)

    def _trusted(self, uids: str, wanted: Iterable[int], doubtful: set[int]) -> Iterator[tuple[int, Value]]:
        """Bodies with their UIDs, each one response late: when the next bears the same UID, both are in doubt (I8)."""
        held: tuple[int, Value] | None = None
        given: set[int] = set()
        for uid, body in self._bodies(uids, wanted):
            if uid in given:
                raise ProtocolViolation(f"{self._dialogue.connection.endpoint}: the server sent a message twice, the "
                                        "second time after others")
            if uid in doubtful:
                continue
            if held is not None and held[0] == uid:
                doubtful.add(uid)
                held = None
                continue
            if held is not None:
                given.add(held[0])
                yield held
            held = uid, body
        if held is not None:
            yield held

    def _bodies(self, uids: str, wanted: Iterable[int]) -> Iterator[tuple[int, Value]]:
        """What the server sends of what was asked for; flags of others, and others (hazard I7), are passed over."""
        for response in self._dialogue.fetch_uids(uids, "(UID BODY.PEEK[])"):
            match response:
                case Fetched(uid=int(uid), attributes=attributes) if uid in wanted and b"BODY[]" in attributes:
                    yield uid, attributes[b"BODY[]"]
                case Completed(ok=False, text=text) if throttles(text):
                    raise self._failures.refused("fetching", text)

    # One to a command

    def _alone(self, listed: Listed) -> Outcome:
        outcome = self._in_parts(listed)
        return outcome if isinstance(outcome, Arrival) or self._existing([listed]) else Vanished(listed)

    def _existing(self, messages: Iterable[Listed]) -> frozenset[int]:
        self._dialogue.noop()  # a server may show expunged messages until then (RFC 3501, 7.4.1)
        return search_uids(self._dialogue, self._failures, (int(listed.key) for listed in messages))

    def _in_parts(self, listed: Listed) -> Arrival | Unfetched:
        """The first part decides whether there is anything; the others come as the content is read."""
        first = self._part(listed, 0)
        if isinstance(first, Unfetched):
            return first
        if not first and listed.size != 0:
            return Unfetched(listed, _EMPTY)
        return Arrival(listed, self._content(listed, first))

    def _content(self, listed: Listed, first: bytes) -> Iterator[bytes]:
        """Parts until one is empty, or a short one reaches the announced size: that size is a hint only (I6)."""
        bound = None if listed.size is None else 2 * listed.size + (64 << 20)
        part, offset = first, 0
        while part:
            yield part
            offset += len(part)
            if len(part) < PART and listed.size is not None and offset >= listed.size:
                return
            if bound is not None and offset > bound:
                raise ProtocolViolation(f"{self._dialogue.connection.endpoint}: a message of announced "
                                        f"{listed.size} octets does not end after {offset}")
            following = self._part(listed, offset)
            if isinstance(following, Unfetched):
                if listed.size is not None and offset >= listed.size:
                    return  # NIL, or NO, beyond the end
                raise ProtocolViolation(f"{self._dialogue.connection.endpoint}: message {listed.key} broke off after "
                                        f"{offset} octets")
            part = following

    def _part(self, listed: Listed, offset: int) -> bytes | Unfetched:
        part = self._partial(listed, "BODY", offset)
        if isinstance(part, bytes) and self._looks_replaced(part):
            original = self._partial(listed, "BINARY", offset)
            if isinstance(original, bytes) and original.replace(b"\0", b"\x80") == part:
                return original
        return part

    def _partial(self, listed: Listed, item: str, offset: int) -> bytes | Unfetched:
        uid, name = int(listed.key), f"{item}[]<{offset}>".encode()
        found: list[Value] = []
        completed = Completed("OK", "")
        for response in self._dialogue.fetch_uids(listed.key, f"(UID {item}.PEEK[]<{offset}.{PART}>)"):
            if isinstance(response, Completed):
                completed = response
            elif response.uid == uid and name in response.attributes:
                found.append(response.attributes[name])
        if not completed.ok:
            if throttles(completed.text):
                raise self._failures.refused("fetching", completed.text)
            return Unfetched(listed, f"the server refused it: {self._failures.shown(completed.text)}")
        return _judged(listed, found)

    def _looks_replaced(self, body: bytes) -> bool:
        """0x80 where no UTF-8 has it, on a server that could send NUL otherwise."""
        if not self._binary or b"\x80" not in body:
            return False
        try:
            body.decode()
        except UnicodeDecodeError:
            return True
        return False


def _is_large(listed: Listed) -> bool:
    return listed.size is None or listed.size > PART


def _judged(listed: Listed, found: Sequence[Value]) -> bytes | Unfetched:
    """The one body that came for it."""
    if not found:
        return Unfetched(listed, "the server did not send it")
    if any(body != found[0] for body in found):
        return Unfetched(listed, "the server sent it twice, with different content")
    body = found[0]
    if not isinstance(body, bytes) or len(body) > PART:
        return Unfetched(listed, "the server sent no content for it (NIL), or more than was asked for")
    return body
