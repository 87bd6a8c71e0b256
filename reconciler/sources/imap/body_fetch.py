"""Messages as they are stored, fetched without touching their flags: BODY.PEEK[] (RFC 3501, 6.4.5).

Small ones come many to a command, the next command under way while the answer to one is read, and
are held in memory one at a time: a message is handed on only when the response around it has been
read and makes sense. Large ones come in parts, as large as the server makes them: there are some
that send less than was asked for, and some that send the whole. Whatever is odd about one message
(refused, left out, sent twice, NIL) concerns that one alone: it is asked for again by itself after
the others, when no command is under way, and is `Unfetched` at worst.

Where a message holds NUL, which IMAP cannot carry, Dovecot sends 0x80 instead. BINARY (RFC 3516)
can carry it: what looks replaced is asked for again with BINARY.PEEK[], which gives the same octets
but for the NULs, unless the message has parts to be decoded; then the message stays as IMAP shows
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from reconciler.mail.internal_messages import INTERNAL, INTERNAL_SIZE, is_internal
from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Arrival, Listed, Pace, Unfetched, Vanished
from reconciler.model.messages import Fetched as Outcome
from reconciler.sources.imap.fetch_responses import Completed, Large, Mark, Value
from reconciler.sources.imap.imap_dialogue import WHOLE, ImapClient
from reconciler.sources.imap.imap_refusals import ImapRefusals, throttles
from reconciler.sources.imap.pipelined_fetch import PipelinedFetch, Window
from reconciler.sources.imap.uid_search import existing_uids, uid_sets

_WHOLE, _FIRST = b"BODY[]", b"BODY[]<0>"
_EMPTY = "the server sent nothing, although it announced a size"
_NOT_SENT = "the server says that it is done and did not send it"
PART = 1 << 20
"""Octets of a part. A message announced as larger than `WHOLE`, or with no size, is fetched in
parts."""
AHEAD = 2
"""Commands under way at once."""
WINDOW_COUNT = 100
WINDOW_OCTETS = 4 << 20
"""One command asks for so many messages, and for so much unless one alone is larger."""
_SLACK = 64 << 20
"""A message may be twice as large as announced, and so much."""
_LATER = 20
"""So many messages refused in a row, each with words that mean `later`: the server wants no more
commands now."""


class _Part(Struct, frozen=True):
    """What came for one message. `name` is the item's, as the server spelled it."""

    body: bytes | Large
    name: bytes

    def chunks(self) -> Iterator[bytes]:
        return self.body.chunks() if isinstance(self.body, Large) else iter((self.body,))


class BodyFetch:
    """Fetches from the folder that is selected."""

    def __init__(self, client: ImapClient, failures: ImapRefusals, first: str = "") -> None:
        """`first`: the key of the folder's first message, which may be no mail."""
        self._dialogue = client.dialogue
        self._failures = failures
        self._first = first
        self._binary = "BINARY" in client.dialogue.capabilities
        self._ahead = PipelinedFetch(client.dialogue)
        self._asked: Sequence[Listed] = ()
        """What is asked for, or asked about, when no command was sent ahead."""
        self._refusals = 0

    def fetch(self, messages: Sequence[Listed], pace: Pace = Pace.AHEAD) -> Iterator[Outcome]:
        """Each message once; in order, but what has to be asked for again comes last."""
        if pace is Pace.SINGLY:
            for listed in messages:
                yield from self._fetch([listed], 1)
        else:
            yield from self._fetch(messages, AHEAD if pace is Pace.AHEAD else 1)

    @property
    def suspects(self) -> Sequence[Listed]:
        """See `Source.suspects`."""
        return self._asked or self._ahead.suspects()

    def _fetch(self, messages: Sequence[Listed], ahead: int) -> Iterator[Outcome]:
        again: list[Listed] = []
        missing: list[Listed] = []
        for large, group in groupby(messages, key=_is_large):
            if large:
                yield from map(self._alone, group)
            else:
                yield from self._together(group, ahead, again, missing)
        yield from map(self._alone, again)
        yield from self._account_for(missing)
        self._asked = ()

    # Many to a command

    def _together(
        self, messages: Iterable[Listed], count: int, again: list[Listed], missing: list[Listed]
    ) -> Iterator[Outcome]:
        self._asked = ()
        ahead = self._ahead = PipelinedFetch(self._dialogue)
        arrived: set[int] = set()
        for uids, window in windows(messages):
            ahead.ask(uids, window)
            if len(ahead) == count:
                yield from self._read(ahead, arrived, again, missing)
        while ahead:
            yield from self._read(ahead, arrived, again, missing)

    def _read(
        self, ahead: PipelinedFetch, arrived: set[int], again: list[Listed], missing: list[Listed]
    ) -> Iterator[Outcome]:
        """Until one command is complete; what that one leaves open goes to the lists."""
        for found in ahead.read():
            if isinstance(found, tuple):
                listed, body = found
                if body is Mark.TOO_LARGE or (
                    isinstance(body, bytes) and self._looks_replaced(body)
                ):
                    ahead.doubtful.add(int(listed.key))
                elif isinstance(body, bytes) and (body or listed.size == 0):
                    arrived.add(int(listed.key))
                    internal = (
                        listed.key == self._first
                        and len(body) <= INTERNAL_SIZE
                        and is_internal(body)
                    )
                    yield (
                        Unfetched(listed, INTERNAL, final=True)
                        if internal
                        else _arrival(listed, body)
                    )
                continue
            for uid, listed in found.items():
                if uid not in arrived:
                    (again if uid in ahead.doubtful else missing).append(listed)

    def _account_for(self, missing: Sequence[Listed]) -> Iterator[Outcome]:
        """What did not come, or came as NIL, was expunged by somebody else (hazard I12), or is
        asked for by itself (hazards I4, I16)."""
        there = self._existing(missing) if missing else frozenset()
        for listed in missing:
            if int(listed.key) in there:
                self._asked = (listed,)
                yield self._counted(self._in_parts(listed))
            else:
                yield Vanished(listed)

    # One to a command

    def _alone(self, listed: Listed) -> Outcome:
        self._asked = (listed,)
        outcome = self._counted(self._in_parts(listed))
        if isinstance(outcome, Arrival) or self._existing([listed]):
            return outcome
        return Vanished(listed, outcome.reason)

    def _existing(self, messages: Sequence[Listed]) -> frozenset[int]:
        """All of them, where the server will not say."""
        self._asked = messages
        self._dialogue.noop()  # a server may show expunged messages until then (RFC 3501, 7.4.1)
        uids = frozenset(int(listed.key) for listed in messages)
        found = existing_uids(self._dialogue, uids)
        return uids if found is None else found

    def _counted(self, outcome: Arrival | Unfetched) -> Arrival | Unfetched:
        """Raises what a server stands for that refuses everything for now."""
        later = outcome.later if isinstance(outcome, Unfetched) else None
        self._refusals = self._refusals + 1 if later is not None else 0
        if later is not None and self._refusals == _LATER:
            self._asked = ()
            raise later
        return outcome

    def _in_parts(self, listed: Listed) -> Arrival | Unfetched:
        """The first part decides whether there is anything; the others come as the content is read.
        A message that was not asked for as a whole before is, where the server makes no parts of
        it."""
        first = self._something(listed, self._part(listed, 0))
        if isinstance(first, Unfetched) and _is_large(listed):
            whole = self._something(listed, self._sent(listed, "BODY.PEEK[]", (_WHOLE,)))
            first = first if isinstance(whole, Unfetched) else whole
        if isinstance(first, Unfetched):
            return first
        content = _PartCounter(listed)
        return Arrival(listed, content.counted(self._content(listed, first)), content.doubt)

    @staticmethod
    def _something(listed: Listed, part: _Part | Unfetched) -> _Part | Unfetched:
        empty = isinstance(part, _Part) and not part.body and listed.size != 0
        return Unfetched(listed, _EMPTY) if empty else part

    def _content(self, listed: Listed, first: _Part) -> Iterator[bytes]:
        """Parts until one is empty, or one that is shorter or longer than was asked for reaches the
        announced size: that size is a hint only (I6)."""
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
        part = self._partial(listed, "BODY", offset)
        if (
            isinstance(part, _Part)
            and isinstance(part.body, bytes)
            and self._looks_replaced(part.body)
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
        """A server may leave out where the part begins, or send the beginning whatever it was asked
        for."""
        names = (f"{item}[]<{offset}>".encode(), f"{item}[]<0>".encode(), f"{item}[]".encode())
        return self._sent(listed, f"{item}.PEEK[]<{offset}.{PART}>", names)

    def _sent(self, listed: Listed, item: str, names: Sequence[bytes]) -> _Part | Unfetched:
        """The one body that comes under one of these names."""
        uid = int(listed.key)
        found: list[tuple[Value, bytes]] = []
        completed = Completed("OK", "")
        self._dialogue.keep_large(2 * (listed.size or 0) + _SLACK)
        try:
            for response in self._dialogue.fetch_uids(listed.key, f"(UID {item})"):
                if isinstance(response, Completed):
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

    def _looks_replaced(self, body: bytes) -> bool:
        """0x80 where no UTF-8 has it, on a server that could send NUL otherwise."""
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
    """Counts what came of a message in parts."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._octets = 0

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._octets += len(chunk)
            yield chunk

    def doubt(self) -> str:
        return lacking(self._listed.size, self._octets)


def lacking(announced: int | None, came: int) -> str:
    """Why a message of which so little came may be something else in its place, a text that says
    that it could not be retrieved; "": nothing speaks for it. Sizes are hints (hazard I6): some
    servers estimate them, Exchange by some hundredths, so a quarter must be missing."""
    if announced is None or 4 * came >= 3 * announced:
        return ""
    return f"{announced} octets were announced and {came} came"


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


def _alike(one: bytes | Large, other: bytes | Large) -> bool:
    """Of large ones only the lengths are left to compare."""
    return (
        len(one) == len(other)
        if isinstance(one, Large) and isinstance(other, Large)
        else one == other
    )


def _arrival(listed: Listed, body: bytes) -> Arrival:
    doubt = lacking(listed.size, len(body))
    return (
        Arrival(listed, iter((body,)), lambda: doubt) if doubt else Arrival(listed, iter((body,)))
    )


def _judged(listed: Listed, found: Sequence[tuple[Value, bytes]]) -> _Part | Unfetched:
    """The one body that came for it."""
    if not found:
        return Unfetched(listed, _NOT_SENT)
    body, name = found[0]
    if any(other != body for other, _ in found):
        return Unfetched(listed, "the server sent it twice, with different content")
    if not isinstance(body, bytes | Large):
        return Unfetched(listed, "the server sent no content for it (NIL)")
    return _Part(body, name)
