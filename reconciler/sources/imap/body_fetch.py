"""Fetch messages as they are stored, without touching their flags (BODY.PEEK[], RFC 3501, 6.4.5).

Small messages come many to a command, the next command under way while the answer to one is read.
One message at a time is in memory, and it is handed on only when the response around it has been
read and makes sense. Large messages come in parts (`part_fetch`). An oddity (a message refused,
left out, sent twice, NIL) concerns one message only. It is requested again after the others, when
no other command is under way. At worst it is `Unfetched`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from reconciler.mail.internal_messages import INTERNAL, INTERNAL_SIZE, is_internal
from reconciler.model.messages import Arrival, Listed, Pace, Unfetched, Vanished
from reconciler.model.messages import Fetched as Outcome
from reconciler.sources.imap.fetch_responses import Fetched, Mark
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.part_fetch import PartFetch, is_large, shortfall
from reconciler.sources.imap.pipelined_fetch import PipelinedFetch, Window
from reconciler.sources.imap.uid_search import existing_uids, uid_sets

AHEAD = 2
"""Commands under way at once."""
WINDOW_COUNT = 100
"""Messages that one command asks for."""
WINDOW_OCTETS = 4 << 20
"""Octets that one command asks for, unless one message alone is larger."""
_LATER = 20
"""Messages refused in a row, each with words that mean `later`, after which the server is taken to
want no more commands now."""
_HEADERS_AT_ONCE = 500
_HEADER = b"BODY[HEADER]"


class BodyFetch:
    """Fetches messages from the selected folder, many with one command."""

    def __init__(self, client: ImapClient, failures: ImapRefusals, first: str = "") -> None:
        """`first` is the key of the folder's first message, which may be no mail."""
        self._dialogue = client.dialogue
        self._failures = failures
        self._first = first
        self._parts = PartFetch(client, failures)
        self._ahead = PipelinedFetch(client.dialogue)
        self._asked: Sequence[Listed] = ()
        """The messages of the command under way, where it is not one of `PipelinedFetch`."""
        self._refusals = 0
        """Messages refused in a row, each with words that mean `later`."""

    def fetch(self, messages: Sequence[Listed], pace: Pace = Pace.AHEAD) -> Iterator[Outcome]:
        """Yield an outcome for each message once, in order; those asked for again come last."""
        if pace is Pace.SINGLY:
            for listed in messages:
                yield from self._fetch([listed], 1)
        else:
            yield from self._fetch(messages, AHEAD if pace is Pace.AHEAD else 1)

    @property
    def suspects(self) -> Sequence[Listed]:
        """Messages that may have ended the connection; see `Source.suspects`."""
        return self._asked or self._ahead.suspects()

    def _fetch(self, messages: Sequence[Listed], ahead: int) -> Iterator[Outcome]:
        again: list[Listed] = []
        missing: list[Listed] = []
        for large, group in groupby(messages, key=is_large):
            if large:
                yield from map(self._alone, group)
            else:
                yield from self._batches(group, ahead, again, missing)
        yield from map(self._alone, again)
        yield from self._account_for(missing)
        self._asked = ()

    def _batches(
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
        """Read until one command is complete; add what it left open to `again` or `missing`."""
        for found in ahead.read():
            if isinstance(found, tuple):
                listed, body = found
                if body is Mark.TOO_LARGE or (
                    isinstance(body, bytes) and self._parts.looks_replaced(body)
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
        """Yield an outcome for messages that did not come, or came as NIL.

        Either somebody else has expunged them (hazard I12), or each is asked for by itself (hazards
        I4, I16).
        """
        there = self._existing(missing) if missing else frozenset()
        for listed in missing:
            if int(listed.key) in there:
                self._asked = (listed,)
                yield self._counted(self._parts.fetch(listed))
            else:
                yield Vanished(listed)

    def _alone(self, listed: Listed) -> Outcome:
        """Fetch one message with commands of its own."""
        self._asked = (listed,)
        outcome = self._counted(self._parts.fetch(listed))
        if isinstance(outcome, Arrival) or self._existing([listed]):
            return outcome
        return Vanished(listed, outcome.reason)

    def _existing(self, messages: Sequence[Listed]) -> frozenset[int]:
        """Return the UIDs of those that exist; of all of them where the server does not say."""
        self._asked = messages
        self._dialogue.noop()  # a server may show expunged messages until then (RFC 3501, 7.4.1)
        uids = frozenset(int(listed.key) for listed in messages)
        found = existing_uids(self._dialogue, uids)
        return uids if found is None else found

    def _counted(self, outcome: Arrival | Unfetched) -> Arrival | Unfetched:
        """Return `outcome`; raise its error where the server refuses everything for now."""
        later = outcome.later if isinstance(outcome, Unfetched) else None
        self._refusals = self._refusals + 1 if later is not None else 0
        if later is not None and self._refusals == _LATER:
            self._asked = ()
            raise later
        return outcome


def fetch_headers(
    client: ImapClient, messages: Sequence[Listed]
) -> Iterator[tuple[Listed, bytes | None]]:
    """Fetch header blocks from the selected folder (BODY.PEEK[HEADER], RFC 3501, section 6.4.5).

    Yield each message whose header the server sends. One that is sent twice with different content
    is yielded again, with None.
    """
    for start in range(0, len(messages), _HEADERS_AT_ONCE):
        wanted = {int(listed.key): listed for listed in messages[start : start + _HEADERS_AT_ONCE]}
        found: dict[int, int] = {}
        for uids, _ in uid_sets(wanted):
            for response in client.dialogue.fetch_uids(uids, "(UID BODY.PEEK[HEADER])"):
                match response:
                    case Fetched(uid=int(uid), attributes=attributes) if (
                        uid in wanted and _HEADER in attributes
                    ):
                        header = attributes[_HEADER]
                        if uid in found:
                            client.dialogue.unasked(response)
                        sole = isinstance(header, bytes) and found.setdefault(
                            uid, hash(header)
                        ) == hash(header)
                        yield wanted[uid], header if sole and isinstance(header, bytes) else None
                    case Fetched():
                        client.dialogue.unasked(response)


def windows(messages: Iterable[Listed]) -> Iterator[tuple[str, Window]]:
    """Divide messages into commands: yield the set of UIDs and the messages it stands for."""
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


def _arrival(listed: Listed, body: bytes) -> Arrival:
    doubt = shortfall(listed.size, len(body))
    return (
        Arrival(listed, iter((body,)), lambda: doubt) if doubt else Arrival(listed, iter((body,)))
    )
