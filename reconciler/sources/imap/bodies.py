"""Messages as they are stored, fetched without touching their flags: BODY.PEEK[] (RFC 3501, 6.4.5).

Small ones come many to a command, the next command under way while the answer to one is read, and are held in memory
one at a time: a message is handed on only when the response around it has been read and makes sense. Large ones come
in parts. Whatever is odd about one message (refused, sent twice, NIL) concerns that one alone: it is asked for again by
itself after the others, when no command is under way, and is `Unfetched` at worst.

Where a message holds NUL, which IMAP cannot carry, Dovecot sends 0x80 instead. BINARY (RFC 3516) can carry it: what
looks replaced is asked for again with BINARY.PEEK[], which gives the same octets but for the NULs, unless the message
has parts to be decoded; then the message stays as IMAP shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Arrival, Listed, Unfetched, Vanished
from reconciler.model.messages import Fetched as Outcome
from reconciler.sources.imap.ahead import Ahead, Window
from reconciler.sources.imap.dialogue import WHOLE, Client
from reconciler.sources.imap.failures import Failures, throttles
from reconciler.sources.imap.responses import Completed, Mark, Value
from reconciler.sources.imap.search import search_uids
from reconciler.sources.imap.uids import uid_sets

_EMPTY = "the server sent nothing, although it announced a size"
PART = 1 << 20
"""Octets of a part. A message announced as larger than `WHOLE`, or with no size, is fetched in parts."""
AHEAD = 2
"""Commands under way at once."""
WINDOW_COUNT = 100
WINDOW_OCTETS = 4 << 20
"""One command asks for so many messages, and for so much unless one alone is larger."""


class Bodies:
    """Fetches from the folder that is selected."""

    def __init__(self, client: Client, failures: Failures) -> None:
        self._dialogue = client.dialogue
        self._failures = failures
        self._binary = "BINARY" in client.dialogue.capabilities

    def fetch(self, messages: Sequence[Listed]) -> Iterator[Outcome]:
        """Each message once; in order, but what has to be asked for again comes last."""
        again: list[Listed] = []
        missing: list[Listed] = []
        for large, group in groupby(messages, key=_is_large):
            if large:
                yield from map(self._alone, group)
            else:
                yield from self._together(group, again, missing)
        yield from map(self._alone, again)
        yield from self._account_for(missing)

    # Many to a command

    def _together(self, messages: Iterable[Listed], again: list[Listed],
                  missing: list[Listed]) -> Iterator[Outcome]:
        ahead = Ahead(self._dialogue, self._failures)
        arrived: set[int] = set()
        for uids, window in windows(messages):
            ahead.ask(uids, window)
            if len(ahead) == AHEAD:
                yield from self._read(ahead, arrived, again, missing)
        while ahead:
            yield from self._read(ahead, arrived, again, missing)

    def _read(self, ahead: Ahead, arrived: set[int], again: list[Listed], missing: list[Listed]) -> Iterator[Outcome]:
        """Until one command is complete; what that one leaves open goes to the lists."""
        for found in ahead.read():
            if isinstance(found, tuple):
                listed, body = found
                if body is Mark.TOO_LARGE or (isinstance(body, bytes) and self._looks_replaced(body)):
                    ahead.doubtful.add(int(listed.key))
                elif isinstance(body, bytes) and (body or listed.size == 0):
                    arrived.add(int(listed.key))
                    yield Arrival(listed, iter((body,)))
                continue
            for uid, listed in found.items():
                if uid not in arrived:
                    (again if uid in ahead.doubtful else missing).append(listed)

    def _account_for(self, missing: Sequence[Listed]) -> Iterator[Outcome]:
        """What did not come, or came as NIL, was expunged by somebody else (hazard I12), or is asked for by itself
        (hazards I4, I16)."""
        there = self._existing(missing) if missing else frozenset()
        for listed in missing:
            yield self._in_parts(listed) if int(listed.key) in there else Vanished(listed)

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
            elif response.uid == uid and name in response.attributes and len(found) < 2:
                found.append(response.attributes[name])
            else:
                self._dialogue.unasked(response)
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


def windows(messages: Iterable[Listed]) -> Iterator[tuple[str, Window]]:
    """What to ask for with one command each: the set of UIDs, and whom it stands for."""
    window: dict[int, Listed] = {}
    octets = 0
    for listed in messages:
        size = listed.size or 0
        if window and (len(window) == WINDOW_COUNT or octets + size > WINDOW_OCTETS):
            yield from _commands(window)
            window, octets = {}, 0
        window[int(listed.key)] = listed
        octets += size
    yield from _commands(window)


def _commands(window: Window) -> Iterator[tuple[str, Window]]:
    for uids, members in uid_sets(window):
        yield uids, {uid: listed for uid, listed in window.items() if uid in members}


def _is_large(listed: Listed) -> bool:
    return listed.size is None or listed.size > WHOLE


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
