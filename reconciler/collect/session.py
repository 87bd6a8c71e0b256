"""One session: list, take what the ledger lacks, fetch, route, deliver, record, acknowledge.

Two things go on at once: messages of one batch are fetched and staged, while the batch before it is
committed to its destination and recorded in the ledger (`commits`). Only what is recorded is
deleted from the server. A crash between any two of these leaves a state that the next session
recognises: committed but not recorded is delivered again under the same name and adopted; recorded
but not deleted is only deleted.

A fetch that breaks down is gone on with over another connection, without the messages that may be
the cause: `suspects` says who they are and what becomes of them. What was collected before is
deleted after the others were fetched: a server that fails at deleting does not keep new mail away.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from reconciler.collect import suspects as blame
from reconciler.collect.batch_commit import Commits, Committed, Pending
from reconciler.collect.content_identity import ByContent
from reconciler.collect.incoming_message import Incoming
from reconciler.collect.message_spool import spool
from reconciler.collect.reidentification import KnownListing, Reidentification, look_up
from reconciler.collect.selection import (
    COLLECTED_BEFORE,
    VANISHED,
    Attempt,
    FolderWork,
    rounds,
    select,
)
from reconciler.collect.session_counters import Tally
from reconciler.collect.unchanged_check import account_state, settled, take_over, unchanged
from reconciler.model.errors import (
    CollectorError,
    ConnectionFailed,
    DestinationUnavailable,
    FolderFailed,
    LedgerUnavailable,
    ProtocolViolation,
    SourceError,
    SourceUnsuitable,
    Stopped,
    Throttled,
)
from reconciler.model.history import Alert
from reconciler.model.interfaces import Ledger, MailDestination, Source, Staged
from reconciler.model.messages import (
    Arrival,
    DeliveryId,
    Fetched,
    Fingerprint,
    Folder,
    Listed,
    Listing,
    Pace,
    Unfetched,
    Vanished,
)
from reconciler.model.outcomes import Entry, Failure, MessageState, Outcome, Record, SessionReport
from reconciler.model.routing_answer import Routing

PUT_OFF = 3
"""So many messages in a row, for as many mailboxes, put off for every recipient: the destination
takes nothing now, so fetching ends. A single mailbox that is full does not hold up the others."""
ALERTS = 5
"""So many of a server's alerts are kept. One that is among them is not told again."""
BATCH_OCTETS = 8 << 20
"""A batch is committed when so much is staged, or as many messages as the destination takes
together."""
_SLACK = 1 << 20
_DELETE_LOSSES = 3
_HEADER_LOSSES = 6
_BREAKDOWNS = (ConnectionFailed, ProtocolViolation, Throttled)
"""What ends a connection in the middle of a command, and may be one message's fault."""
_KEPT = (MessageState.PRESUMED, MessageState.SUSPECT, MessageState.UNFETCHED, MessageState.PAUSED)
"""States that a suspicion does not replace."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?")
_GONE = "the server lists it, and it is gone when it is asked for"


class Task(Struct, frozen=True):
    """What a session is to do; `limit` in messages (0: all), `max_size` in octets."""

    collector: str
    mode: Literal["all-delete", "new-delete", "new-keep"]
    limit: int
    max_size: int
    route: Callable[[bytes], Routing]
    """From the message's head to its recipients."""
    single: bool = True
    """Everything goes to one mailbox: when that takes no mail, there is nothing else to do."""
    digest: str = ""
    """Of everything in the spec that a session depends on; "": every session lists anew."""

    @property
    def deletes(self) -> bool:
        return self.mode != "new-keep"


class Steering(Protocol):
    """How a session is watched and stopped from outside."""

    @property
    def stopping(self) -> bool:
        """Finish the message in hand, then end."""

    @property
    def insisting(self) -> bool:
        """Pauses of messages that are not the server's wish do not count: somebody asked for this
        session, or it is the only one of its process."""

    @property
    def repeating(self) -> bool:
        """Somebody asked for this very session, and takes copies for it: what a receiver may have
        taken without an answer is delivered again at once."""

    def another_login(self) -> None:
        """The session is about to log in once more."""

    def progress(self, report: SessionReport) -> None: ...


class Loser(Struct, frozen=True):
    """A message with which a connection was lost; `alone`: it was asked for by itself."""

    folder: Folder
    attempt: Attempt
    error: SourceError
    alone: bool

    @property
    def lost(self) -> bool:
        """It may have been the network's fault."""
        return not isinstance(self.error, ProtocolViolation)


S = TypeVar("S", bound=Staged)


class Session(Generic[S]):
    """Runs once, in one thread. Failures end it and are in the report; only defects of our own are
    raised."""

    def __init__(
        self,
        task: Task,
        source: Source,
        destination: MailDestination[S],
        ledger: Ledger,
        steering: Steering,
        now: Callable[[], datetime],
    ) -> None:
        self._task = task
        self._source = source
        self._destination = destination
        self._ledger = ledger
        self._steering = steering
        self._now = now
        self._tally = Tally(now())
        self._under_way: Future[Committed[S]] | None = None
        self._staged: list[Pending[S]] = []
        self._staged_octets = 0
        self._unacknowledged: list[Listed] = []
        self._by_content: ByContent | None = None
        self._reidentification = Reidentification(task.collector, self._headers, ledger, now)
        self._commits = Commits(
            task.collector, destination, ledger, self._reidentification.adopt, now
        )
        self._known_as: dict[Folder, Folder] = {}
        self._epoch = 0
        self._first_name = ""
        self._sole = False
        """There is one message to attempt, so that nothing else can come."""
        self._put_off: list[Sequence[str]] = []
        self._in_step = (
            True  # no reply of the server is outstanding: QUIT or LOGOUT would be understood
        )
        self._lost: SourceError | None = None
        """Why there is no connection now."""
        self._refused_entry: SourceError | None = None
        """Why no other connection is to be had."""
        self._left = False
        """The connection was ended in good order, so that the server deletes."""
        self._pending: list[Listed] = []
        """To be deleted when the connection ends in good order."""
        self._pace = Pace.AHEAD
        self._reconnections = self._paid = self._barren = self._losses = self._header_losses = (
            self._arrived
        ) = 0
        self._in_hand: Attempt | None = None
        self._abrupt = False
        """The connection was reset while several messages were on their way."""
        self._before: type[Fetched] | None = None
        """What the connection gave last: nothing, a message, or a refusal."""
        self._refused: list[tuple[Attempt, Unfetched]] = []
        self._alone: defaultdict[Folder, list[Attempt]] = defaultdict(list)
        """Those that are to be asked for by themselves in this session still."""
        self._arrivals: defaultdict[Folder, list[Listed]] = defaultdict(list)
        """What came, and is still on the server."""
        self._losers: list[Loser] = []
        """With whom a connection was lost, and nothing came after them yet."""
        self._given_up: set[Folder] = set()
        self._kept: dict[Folder, list[Listed]] = {}
        """Collected, and to be deleted last."""
        self._trouble: SourceError | None = None
        """What ends the session as a failure, unless something comes."""

    def run(self) -> SessionReport:
        error: CollectorError | None = None
        folder: Folder | None = None
        try:
            works = self._select()
            for work in works:
                folder = work.folder
                self._guarded(work, self._folder, sole=len(works) == 1)
            for work in works:
                folder = work.folder
                if folder not in self._given_up:
                    self._guarded(work, self._suspects, sole=len(works) == 1)
            if self._trouble is not None and not self._arrived:
                raise self._trouble
        except CollectorError as failure:
            error = failure
            self._abandon()
        finally:
            self._commits.close()
        try:
            self._close(folder)
        except CollectorError as failure:
            error = error or failure
            self._source.abort()
        self._tell_alerts()
        return self._report(error)

    def _tell_alerts(self) -> None:
        """What the server wants people to be told: noted when it says it for the first time, and
        kept."""
        alerts = self._source.alerts
        if not alerts:
            return
        try:
            known = self._ledger.alerts(self._task.collector)
            told = {_undated(alert.text) for alert in known}
            new = [
                Alert(text, self._now())
                for text in {
                    _undated(text): text for text in alerts if _undated(text) not in told
                }.values()
            ]
            if new:
                self._ledger.keep_alerts(self._task.collector, [*new, *known][:ALERTS])
        except LedgerUnavailable:
            # the next session tells them; what is wrong with the ledger is told by whatever it
            # fails at
            return
        self._tally.notes.extend(f"the server's alert: {alert.text}" for alert in new)

    def _abandon(self) -> None:
        """Nothing of what is only staged remains."""
        if self._under_way is not None:
            self._take_account(
                self._under_way.result()
            )  # another error than the first one is not told
        abandoned, self._staged = self._staged, []
        for _ in abandoned:
            self._tally.fail()
        try:
            self._destination.discard([message.staged for message in abandoned])
        except CollectorError as error:
            self._tally.notes.append(f"what was staged is not removed: {error}")

    def _report(self, error: CollectorError | None) -> SessionReport:
        if recognised := self._reidentification.recognised:
            self._tally.notes.append(
                f"{recognised} messages have other numbers than when they were collected (the "
                "server renumbered, or the account was changed): not collected again"
            )
        if error is None:
            return self._tally.report(self._now(), Outcome.SUCCEEDED)
        if self._steering.stopping:
            return self._tally.report(self._now(), Outcome.INTERRUPTED)
        return self._tally.report(self._now(), Outcome.FAILED, Failure.of(error))

    # -- listing

    def _select(self) -> Sequence[FolderWork]:
        self._first_name, self._epoch = self._ledger.identity(self._task.collector)
        if kept := unchanged(
            self._task.collector,
            self._task.digest,
            self._source,
            self._ledger,
            self._now(),
            writable=self._task.deletes,
        ):
            take_over(kept, self._tally)
            return ()
        places = [
            self._look_up(listing) for listing in self._source.listings(writable=self._task.deletes)
        ]
        self._reidentification.by_headers(places, self._check_stop)
        if not self._task.deletes:
            self._reidentification.by_what_is_gone(places)
        chosen = select(
            [(place.listing, place.entries) for place in places],
            deletes=self._task.deletes,
            limit=self._task.limit,
            max_size=self._task.max_size,
            due=self._is_due,
        )
        self._tally.listed, self._tally.skipped, self._tally.parked = (
            chosen.listed,
            chosen.skipped,
            chosen.parked,
        )
        self._tally.left = chosen.left + chosen.attempts
        self._sole = chosen.attempts == 1
        works = [work.chosen() for work in chosen.folders]
        if self._task.deletes:
            self._remember_left(places, works)
        if settled(chosen.folders, self._tally) and not chosen.paused:
            self._keep_account_state()
        self._progress()
        return works

    def _headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterable[tuple[Listed, bytes | None]]:
        """As far as the server gives them: what ends the connection is tried once more; then those
        that are left of `messages` are done without."""
        missing = {listed.key: listed for listed in messages}
        for _ in range(2):
            if self._header_losses >= _HEADER_LOSSES:
                return
            self._connected()
            self._in_step = False
            try:
                for found in self._source.headers(folder, list(missing.values())):
                    missing.pop(found[0].key, None)
                    yield found
            except SourceError as error:
                if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                    raise
                self._lose(error)
                self._header_losses += 1
                if isinstance(error, FolderFailed):
                    return
                continue
            self._in_step = True
            return

    def _look_up(self, listing: Listing) -> KnownListing:
        place = look_up(self._ledger, self._task.collector, listing)
        self._known_as[listing.folder] = place.folder
        self._tally.notes.extend(listing.notes)
        if place.alarming:
            self._tally.notes.append(
                f"{listing.folder.name}: the server has numbered its messages anew without saying "
                "so (same UIDVALIDITY); known ones are looked for by their content"
            )
        if not listing.keys_stable:
            self._go_by_content(place.entries)
        return place

    def _remember_left(self, places: Sequence[KnownListing], works: Sequence[FolderWork]) -> None:
        for place, work in zip(places, works, strict=True):
            if place.folder.account.protocol == "pop3" and place.listing.keys_stable:
                going = {attempt.listed.key for attempt in (*work.attempts, *work.suspects)}
                self._reidentification.remember_left(place, going)

    def _keep_account_state(self) -> None:
        found = account_state(self._source, self._task.digest, self._tally, self._now())
        if found is not None:
            self._ledger.keep_account_state(self._task.collector, self._epoch, found)

    def _go_by_content(self, known: Mapping[str, Entry]) -> None:
        if self._task.mode != "all-delete":
            raise SourceUnsuitable(
                "the server has no UIDL, so collected messages cannot be told from new ones: "
                f"mode {self._task.mode} is impossible here, all-delete is not"
            )
        self._by_content = ByContent(known)

    def _is_due(self, entry: Entry) -> bool:
        insists = (
            self._steering.repeating if blame.may_be_delivered(entry) else self._steering.insisting
        )
        return (insists and entry.wait is None) or blame.is_due(entry, self._now())

    def _guarded(self, work: FolderWork, do: Callable[[FolderWork], None], *, sole: bool) -> None:
        """A fault of one folder is that folder's."""
        try:
            do(work)
        except FolderFailed as error:
            self._trouble = self._trouble or error.alone
            self._given_up.add(work.folder)
            if error.alone and (sole or (len(self._given_up) > 1 and not self._arrived)):
                raise error.alone from None
            if sole:
                raise
            self._unacknowledged, self._refused, self._losers = [], [], []
            self._barren = 0
            self._tally.notes.append(str(error))
            if not self._in_step:
                self._lost = error

    def _folder(self, work: FolderWork) -> None:
        if work.listing.read_only and self._task.deletes:
            self._tally.notes.append(
                f"{work.folder.name}: the server opens this folder read-only, nothing is deleted"
            )
        for attempts in rounds(work.attempts):
            self._check_stop()
            if not self._round(work, attempts):
                break
        delete = self._but_a_witness(work, work.delete)
        for start in range(0, len(delete), 1000):
            self._delete(work, delete[start : start + 1000])

    def _suspects(self, work: FolderWork) -> None:
        """Those that come by themselves, and last: the ones that failed least often first."""
        attempts = [*self._alone[work.folder], *work.suspects]
        if not attempts:
            return
        self._check_stop()
        try:
            self._settle_deletions(work)
            self._connected()
        except FolderFailed:
            raise
        except SourceError as error:
            self._tally.notes.append(
                f"{len(attempts)} messages that may have ended a connection are not asked for "
                f"now: {error}"
            )
            return
        for _, alike in groupby(sorted(attempts, key=_doubtfulness), key=_doubtfulness):
            group = list(alike)
            turn = int(self._now().timestamp()) % len(
                group
            )  # the same ones must not always be the last
            if not self._round(work, [*group[turn:], *group[:turn]], singly=True):
                break
        self._delete(work, self._kept.pop(work.folder, []))

    def _check_stop(self) -> None:
        if self._steering.stopping:
            raise Stopped("told to stop")

    def _progress(self) -> None:
        self._steering.progress(self._tally.report(self._now(), Outcome.RUNNING))

    # -- fetching

    def _round(
        self, work: FolderWork, attempts: Sequence[Attempt], *, singly: bool = False
    ) -> bool:
        """Fetch and deliver, then delete what is recorded: nothing is under way between two rounds.
        False: the session is to make no more connections."""
        open_ = {attempt.listed.key: attempt for attempt in attempts}
        places = {key: place for place, key in enumerate(open_)}
        goes_on = True
        while open_ and not (singly and self._losses >= blame.LOSSES):
            self._connected()
            before = self._arrived
            wary = singly or self._barren > 0 or self._abrupt
            part = dict(islice(open_.items(), blame.WARILY)) if wary and not singly else open_
            try:
                self._fetch(work, open_, part, Pace.SINGLY if wary else self._pace)
                self._abrupt, self._barren = False, 0 if self._arrived > before else self._barren
            except FolderFailed:
                raise
            except SourceError as error:
                if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                    raise
                came = self._arrived - before
                self._lose(error)
                open_ = self._suspect(work, open_, error, singly=singly, exact=wary)
                goes_on = self._goes_on(work, error, came)
                if not goes_on:
                    self._tally.notes.append(
                        f"{len(open_)} messages are left for the next session, as this one has "
                        f"lost enough connections: {error}"
                    )
                    break
                if not came:
                    open_ = blame.turned(open_, places, last=self._reconnections % 2 == 0)
        self._judge(work)
        done, self._unacknowledged = self._unacknowledged, []
        if self._task.deletes:
            self._delete(work, done if singly else self._but_a_witness(work, done))
        return goes_on

    def _fetch(
        self, work: FolderWork, open_: dict[str, Attempt], part: Mapping[str, Attempt], pace: Pace
    ) -> None:
        """Those of `part`; each that is settled leaves `open_`."""
        folder = self._known_as[work.folder]
        self._in_step = False
        try:
            for fetched in self._source.fetch(
                work.folder, [attempt.listed for attempt in part.values()], pace
            ):
                self._take(folder, open_[fetched.listed.key], fetched)
                self._before = type(fetched)
                del open_[fetched.listed.key]
                if (
                    len(self._staged) >= self._destination.batch_size
                    or self._staged_octets >= BATCH_OCTETS
                ):
                    self._flush(folder)
                self._check_stop()
            self._in_step = True
        except LedgerUnavailable:
            raise  # what is staged or committed is recognised and adopted next time
        except CollectorError:
            self._finish_batches(folder)
            raise
        self._finish_batches(folder)

    def _take(self, folder: Folder, attempt: Attempt, fetched: Fetched) -> None:
        match fetched:
            case Vanished():
                self._vanish(folder, attempt, fetched)
            case Unfetched():
                self._take_refusal(folder, attempt, fetched)
            case Arrival():
                self._in_hand = attempt
                try:
                    self._stage(folder, attempt, fetched)
                except (LedgerUnavailable, SourceError):
                    raise
                except (
                    DestinationUnavailable
                ) as error:  # everybody's trouble: the message waits behind new ones
                    if not self._steering.stopping:
                        self._put(folder, attempt, MessageState.FAILED, str(error))
                    raise
                except CollectorError as error:
                    if not self._steering.stopping:
                        self._fail(folder, attempt, str(error))
                    raise
                self._in_hand = None
                self._arrived += 1
                self._arrivals[folder].append(fetched.listed)
                if self._refused or self._losers:
                    self._see(folder)

    def _take_refusal(self, folder: Folder, attempt: Attempt, refused: Unfetched) -> None:
        if refused.final:
            self._put(folder, attempt, MessageState.PARKED, refused.reason)
            self._arrived += 1
        else:
            self._refused.append((attempt, refused))

    def _stage(self, folder: Folder, attempt: Attempt, arrival: Arrival) -> None:
        incoming = Incoming(arrival.content, self._task.max_size + _SLACK)
        routing = self._task.route(incoming.head())
        content: Iterable[bytes] = incoming
        if self._reidentification.needs_content(folder, attempt):
            content = spool(incoming)
            found = self._reidentification.by_content(folder, attempt, incoming.fingerprint)
            if isinstance(found, Entry):
                self._tally.skip(COLLECTED_BEFORE)
                self._unacknowledged.extend([] if found.reason else [attempt.listed])
                return
            attempt = found
        if routing.parked and not routing.recipients:
            if self._by_content:
                attempt, content = self._by_content.identify(attempt, incoming)
            for _ in content:
                pass  # its fingerprint is wanted
            self._put(folder, attempt, MessageState.PARKED, routing.reason, incoming.fingerprint)
            return
        if self._by_content:
            attempt, content = self._by_content.identify(attempt, incoming)
            if (
                attempt.previous
                and attempt.previous.wait is not None
                and not self._is_due(attempt.previous)
            ):
                self._tally.park()
                return
        recipients = [
            found.address for found in routing.recipients if found.address not in attempt.served
        ]
        message = self._delivery(folder, attempt)
        staged = self._destination.stage(message, content, recipients)
        if (
            attempt.previous
            and attempt.previous.deleted
            and attempt.previous.content == incoming.fingerprint.content
        ):
            self._destination.discard([staged])
            self._tally.skip(COLLECTED_BEFORE)  # it came back although its deletion was confirmed
            self._unacknowledged.append(attempt.listed)
        else:
            self._staged.append(
                Pending(
                    attempt,
                    staged,
                    recipients,
                    incoming.fingerprint,
                    routing.reason if routing.parked else "",
                    arrival.doubt(),
                )
            )
            self._staged_octets += staged.size

    def _delivery(self, folder: Folder, attempt: Attempt) -> DeliveryId:
        """A delivery that has begun under another key goes on under that, so that it is
        recognised."""
        folder, key = (
            (attempt.origin.folder, attempt.origin.entry.key)
            if attempt.origin
            else (folder, attempt.key)
        )
        return DeliveryId(self._first_name, self._epoch, folder, key, attempt.occurrence)

    def _fail(self, folder: Folder, attempt: Attempt, reason: str) -> None:
        if attempt.previous and attempt.previous.state is MessageState.PRESUMED:
            self._tally.skip(COLLECTED_BEFORE)  # it could not be compared, so it stays where it is
            return
        attempts = 1 + (attempt.previous.attempts if attempt.previous else 0)
        if attempts >= blame.ATTEMPTS:
            self._put(
                folder,
                attempt,
                MessageState.PARKED,
                f"given up after {attempts} attempts: {reason}",
            )
        else:
            self._put(folder, attempt, MessageState.FAILED, reason)

    def _put(
        self,
        folder: Folder,
        attempt: Attempt,
        state: MessageState,
        reason: str,
        fingerprint: Fingerprint | None = None,
    ) -> None:
        """Record a message that was not delivered. Where the server has no keys, nothing can be
        said of it for longer than this session."""
        record = Record(
            attempt.key,
            state,
            attempt.listed.size or 0,
            attempt.occurrence,
            fingerprint,
            reason=reason,
            counted=state is MessageState.SUSPECT,
        )
        if self._named or attempt.identity:
            self._commits.write(folder, [(attempt, record)])
        self._count(record)
        self._tell_failure(folder, record)

    # -- what does not come

    def _lose(self, error: SourceError) -> None:
        """There is no connection any more; the next step that needs one makes another."""
        self._lost, self._pending = error, []

    def _connected(self) -> None:
        """Log in once more where the connection is gone. Raises what ended it, where that does not
        help."""
        if self._lost is None and not self._left:
            return
        self._check_stop()
        if self._refused_entry is not None:
            raise self._refused_entry
        if self._reconnections >= blame.RECONNECTIONS + self._paid + _DELETE_LOSSES:
            raise self._lost or ConnectionFailed("the session has made enough connections")
        lost, self._lost, self._left, self._before = self._lost, None, False, None
        self._reconnections += 1
        self._pace = Pace.STEADY
        self._steering.another_login()
        self._in_step = False
        try:
            self._source.reconnect()
        except (Throttled, FolderFailed) as error:
            self._lost = error
            self._refused_entry = None if isinstance(error, FolderFailed) else error
            raise
        except SourceError as error:
            self._lost = self._refused_entry = lost or error
            raise self._lost from None
        self._in_step = True

    def _causes(self, open_: dict[str, Attempt]) -> list[Attempt]:
        """The messages of which one may have ended the fetch, the likeliest first; they are open no
        longer."""
        found, self._in_hand = self._in_hand, None
        keys = [listed.key for listed in self._source.suspects]
        if found is not None and found.listed.key not in keys:
            keys = [found.listed.key]
        return [open_.pop(key) for key in keys if key in open_]

    def _suspect(
        self,
        work: FolderWork,
        open_: dict[str, Attempt],
        error: SourceError,
        *,
        singly: bool,
        exact: bool,
    ) -> dict[str, Attempt]:
        """What is still open. One that is likely to be the cause waits for the next session, which
        may be luckier; of many, all are asked for after all else. One asked for by itself is it:
        unless it came behind another message, which the server refused, or which was the last of
        those that it gives over one connection. Where not one at a time (`exact`) was asked for and
        the connection was reset, nobody knows how far the server had come."""
        causes = self._causes(open_)
        self._abrupt = not exact and isinstance(error, ConnectionFailed) and error.abrupt
        if not causes:
            return open_  # it had come before the connection ended
        counted = causes[0].previous is not None and causes[0].previous.attempts > 0
        if (
            self._abrupt
            or self._before is Unfetched
            or (singly and not counted and self._before is not None)
        ):
            return {attempt.listed.key: attempt for attempt in causes} | open_
        folder, (likeliest, *others) = self._known_as[work.folder], causes
        self._trouble = self._trouble or (None if singly else error)
        if singly:
            self._losses += counted
            self._losers.append(Loser(folder, likeliest, error, alone=True))
            return open_
        if len(causes) > 2 or (
            likeliest.previous and likeliest.previous.state is MessageState.PRESUMED
        ):
            others = causes  # the ledger keeps what it knows of one that is presumed
        else:
            self._losers.append(Loser(folder, likeliest, error, alone=False))
            self._mark(folder, [(likeliest, "")])
            self._tally.notes.append(
                f"a message is asked for by itself next time, the connection was lost with it: "
                f"{error}"
            )
        self._mark(folder, [(attempt, "") for attempt in others])
        self._alone[work.folder].extend(others)
        return open_

    def _goes_on(self, work: FolderWork, error: SourceError, came: int) -> bool:
        """Whether to go on over another connection, after one that brought so many messages. Raises
        FolderFailed where the folder, and perhaps the server, gives nothing now."""
        self._paid += came >= blame.WORTH and self._paid < blame.PAID
        self._barren = 0 if came else self._barren + 1
        if self._barren and self._barren % 2 == 0:
            gives = self._gives(work)
            if gives:
                self._barren = 0
            elif gives is False or (self._barren >= blame.BARREN and not self._all_proven()):
                self._acquit(self._known_as[work.folder])
                raise FolderFailed(
                    f"{work.folder.name or 'the maildrop'}: nothing comes: {error}", error
                )
        return self._reconnections < blame.RECONNECTIONS + self._paid

    def _all_proven(self) -> bool:
        """Whether nobody is left but those that had failed before, while others came."""
        found = [
            *(attempt for attempt, _ in self._refused),
            *(loser.attempt for loser in self._losers),
        ]
        return bool(found) and all(blame.is_proven(attempt.previous) for attempt in found)

    def _see(self, folder: Folder) -> None:
        """Something came: the server does not fail for everybody."""
        refused, self._refused = self._refused, []
        for attempt, found in refused:
            self._charge(folder, attempt, found.reason)
        losers, self._losers = self._losers, []
        for loser in losers:
            if loser.alone:
                self._charge(loser.folder, loser.attempt, str(loser.error), lost=loser.lost)
            else:
                self._mark(loser.folder, [(loser.attempt, str(loser.error))])

    def _acquit(self, folder: Folder) -> None:
        """Nothing comes: nobody is to blame, but they are asked for by themselves from now on."""
        refused, self._refused = self._refused, []
        losers, self._losers = self._losers, []
        self._mark(
            folder,
            [
                (attempt, "")
                for attempt in (
                    *(attempt for attempt, _ in refused),
                    *(loser.attempt for loser in losers),
                )
            ],
        )

    def _mark(self, folder: Folder, suspects: Iterable[tuple[Attempt, str]]) -> None:
        """So that the next session knows. The reason: while others came, it did not
        (`suspects.is_proven`)."""
        records = [
            (
                attempt,
                Record(
                    attempt.key,
                    MessageState.SUSPECT,
                    attempt.listed.size or 0,
                    attempt.occurrence,
                    reason=reason,
                ),
            )
            for attempt, reason in suspects
            if self._named
            and attempt.origin is None
            and (attempt.previous is None or attempt.previous.state not in _KEPT)
        ]
        self._commits.write(folder, records)

    def _judge(self, work: FolderWork) -> None:
        """Those that did not come, with nothing that came after them."""
        if not self._refused and not self._losers:
            return
        folder = self._known_as[work.folder]
        later = next((found.later for _, found in self._refused if found.later is not None), None)
        trouble = later or (
            self._losers[-1].error
            if self._losers
            else SourceError(f"the server gives no message: {self._refused[-1][1].reason}")
        )
        gives = self._gives(work)
        if gives or (gives is None and self._arrived and later is None):
            self._see(folder)
        elif gives is None:
            self._judge_alone(folder, trouble, later)
        else:
            self._acquit(folder)
            self._trouble = self._trouble or trouble
            if later is not None:
                raise later

    def _judge_alone(self, folder: Folder, trouble: SourceError, later: SourceError | None) -> None:
        """Where nothing comes that could be asked for else: who had failed before, while others
        came, has failed again; so has a message that is the only one, as nobody will ever know more
        of it."""
        refused, self._refused = self._refused, []
        losers, self._losers = self._losers, []
        alone = [(loser.attempt, str(loser.error), loser.lost) for loser in losers if loser.alone]
        unproven = [attempt for attempt, _ in refused if not blame.is_proven(attempt.previous)]
        unproven += [attempt for attempt, _, _ in alone if not blame.is_proven(attempt.previous)]
        for attempt, reason, lost in [
            *((attempt, found.reason, False) for attempt, found in refused),
            *alone,
        ]:
            proven = blame.is_proven(attempt.previous)
            if proven or self._sole:
                self._charge(
                    folder,
                    attempt,
                    reason,
                    lost=lost,
                    proven=proven and (later is None or not unproven),
                )
            else:
                self._mark(folder, [(attempt, "")])
        if not unproven:
            return
        if later is not None:
            raise later
        if alone or not self._sole:
            self._trouble = self._trouble or trouble

    def _charge(
        self,
        folder: Folder,
        attempt: Attempt,
        reason: str,
        *,
        lost: bool = False,
        proven: bool = True,
    ) -> None:
        """Count that it failed by itself. `lost`: with it the connection; not `proven`: everything
        else might have failed, too."""
        attempts = 1 + (attempt.previous.attempts if attempt.previous else 0)
        if attempt.previous is not None and attempt.previous.state is MessageState.PRESUMED:
            why = f"it cannot be compared: {reason}" if attempts >= blame.ATTEMPTS else ""
            record = Record(
                attempt.key,
                MessageState.PRESUMED,
                attempt.listed.size or 0,
                attempt.previous.occurrence,
                reason=why,
                counted=True,
            )
            self._commits.write(folder, [(attempt, record)] if lost else [])
            self._tally.skip(COLLECTED_BEFORE)
            return
        state = blame.verdict(attempts, lost=lost)
        if state is MessageState.PARKED:
            reason = f"given up after {attempts} attempts: {reason}"
        elif state is MessageState.PAUSED:
            until = (self._now() + blame.pause(attempts)).astimezone(UTC)
            reason = f"put off until {until:%Y-%m-%d %H:%M} UTC after {attempts} attempts: {reason}"
        elif not proven:
            state = MessageState.SUSPECT
        self._put(folder, attempt, state, reason)

    def _vanish(self, folder: Folder, attempt: Attempt, vanished: Vanished) -> None:
        """A message that is listed again and again, and gone whenever it is asked for, is one that
        is not given."""
        reason = f"{_GONE}: {vanished.reason}" if vanished.reason else _GONE
        if attempt.previous is not None and _GONE in attempt.previous.reason:
            self._refused.append((attempt, Unfetched(attempt.listed, reason)))
            return
        self._mark(folder, [(attempt, reason)])
        self._tally.skip(VANISHED)

    def _gives(self, work: FolderWork) -> bool | None:
        """Whether the server gives a message that it gave before: then it fails for one only. None:
        there is none to ask for, or no connection."""
        gives = None
        witnesses = blame.witnesses(
            self._arrivals[self._known_as[work.folder]]
            or self._kept.get(work.folder)
            or work.collected
        )
        if self._before is Unfetched:
            witnesses = [*witnesses[:1], *witnesses]  # the refusal may be what ends the connection
        for witness in witnesses:
            try:
                self._connected()
            except FolderFailed:
                raise
            except SourceError:
                if self._steering.stopping:
                    raise
                return gives
            came = self._comes(work.folder, witness)
            if came:
                self._see(self._known_as[work.folder])
                self._arrived += 1
                return True
            gives = gives if came is None else False
        return gives

    def _but_a_witness(self, work: FolderWork, messages: Sequence[Listed]) -> Sequence[Listed]:
        """One stays until those were asked for that may not come: it shows whether anything
        does."""
        kept = self._kept.get(work.folder)
        if kept or not (self._alone[work.folder] or work.suspects):
            return messages
        kept = self._kept[work.folder] = blame.witnesses(messages)[:1]
        return [listed for listed in messages if listed not in kept]

    def _comes(self, folder: Folder, witness: Listed) -> bool | None:
        """None: somebody has deleted it."""
        came: bool | None = None
        self._in_step = False
        try:
            for fetched in self._source.fetch(folder, [witness], Pace.SINGLY):
                if isinstance(fetched, Arrival):
                    came = sum(map(len, fetched.content)) > 0
                elif isinstance(fetched, Unfetched):
                    came = False
            self._in_step = True
        except FolderFailed:
            raise
        except SourceError as error:
            if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                raise
            self._lose(error)
            return False
        return came

    # -- commit, record, acknowledge

    def _flush(self, folder: Folder) -> None:
        """Commit what is staged while more is fetched. Not so where messages are committed singly:
        each of them is to be recorded before the next one."""
        pending = self._next_batch()
        if self._destination.batch_size > 1:
            self._under_way = self._commits.begin(folder, pending, named=self._named)
        else:
            self._commit(folder, pending)

    def _finish_batches(self, folder: Folder) -> None:
        if pending := self._next_batch():
            self._commit(folder, pending)

    def _commit(self, folder: Folder, pending: Sequence[Pending[S]]) -> None:
        """In this thread. A message that a mail system failed with waits behind new ones: it may be
        what that fails at."""
        committed = self._commits.run(folder, pending, named=self._named)
        error = committed.error
        if (
            isinstance(error, DestinationUnavailable)
            and error.at_message
            and not self._steering.stopping
        ):
            failed, *committed.staged = committed.staged
            self._destination.discard([failed.staged])
            self._put(folder, failed.attempt, MessageState.FAILED, str(error), failed.fingerprint)
        self._go_on(committed)

    def _next_batch(self) -> list[Pending[S]]:
        """What is staged, once the batch before it is done."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self._go_on(under_way.result())
        pending, self._staged, self._staged_octets = self._staged, [], 0
        return pending

    @property
    def _named(self) -> bool:
        """The server's keys last, for a while."""
        return self._by_content is None

    def _go_on(self, committed: Committed[S]) -> None:
        """If nothing is wrong."""
        self._take_account(committed)
        if committed.error is not None:
            raise committed.error
        self._feel_pressure(committed.recorded)

    def _take_account(self, committed: Committed[S]) -> None:
        for message, record in committed.recorded:
            self._count(record)
            self._tell_failure(committed.folder, record)
            if record.state is MessageState.COLLECTED and record.reason:
                self._tally.notes.append(
                    f"a message is delivered and stays on the server: {record.reason}"
                )
            elif record.state is MessageState.COLLECTED:
                self._unacknowledged.append(message.attempt.listed)
        for _ in range(committed.unrecorded):
            self._tally.fail()
        self._staged = committed.staged + self._staged
        if committed.recorded:
            self._progress()

    def _tell_failure(self, folder: Folder, record: Record) -> None:
        """What is wrong with a message is not only counted."""
        if record.reason and record.state in (MessageState.FAILED, MessageState.UNFETCHED):
            where = f"{folder.name} " if folder.name else ""
            self._tally.notes.append(f"{where}{record.key}: {record.reason}")

    def _count(self, record: Record) -> None:
        match record.state:
            case MessageState.COLLECTED:
                self._tally.collect(record.size)
            case MessageState.PARKED | MessageState.PAUSED:
                self._tally.park()
            case MessageState.FAILED | MessageState.UNFETCHED | MessageState.SUSPECT:
                self._tally.fail()

    def _feel_pressure(self, recorded: Sequence[tuple[Pending[S], Record]]) -> None:
        for message, record in recorded:
            if record.state is not MessageState.FAILED or record.delivered:
                self._put_off = []
                continue
            self._put_off.append(message.recipients)
            mailboxes = {address for recipients in self._put_off for address in recipients}
            if len(self._put_off) >= PUT_OFF and len(mailboxes) >= (
                1 if self._task.single else PUT_OFF
            ):
                error = DestinationUnavailable(
                    f"the destination takes nothing now, fetching ends: {record.reason}",
                    retry_after=record.wait,
                )
                error.of_one = self._task.single
                raise error

    def _delete(self, work: FolderWork, messages: Sequence[Listed]) -> None:
        """What fails with the connection is tried once more, then by halves, each of which is
        settled before the next one is tried; the next session goes on from there."""
        parts, losses = [messages] if messages and not work.listing.read_only else [], 0
        while parts:
            part = parts.pop(0)
            self._ledger.hold()
            self._connected()
            try:
                self._delete_part(work, part)
                if losses and parts:
                    self._settle_deletions(work)
            except FolderFailed:
                raise
            except SourceError as error:
                if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                    raise
                taken_back = self._pending
                self._lose(error)
                losses += 1
                if losses == 1:
                    parts[:0] = [taken_back, part] if taken_back else [part]
                elif losses <= _DELETE_LOSSES and len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                else:
                    self._refuse([(listed.key, str(error)) for listed in part])

    def _delete_part(self, work: FolderWork, messages: Sequence[Listed]) -> None:
        self._in_step = False
        deletion = self._source.delete(work.folder, messages)
        self._in_step = True
        folder, gone = self._known_as[work.folder], deletion.confirmed | deletion.pending
        self._arrivals[folder] = [
            listed for listed in self._arrivals[folder] if listed.key not in gone
        ]
        self._pending = [
            *self._pending,
            *(listed for listed in messages if listed.key in deletion.pending),
        ]
        self._confirm(folder, deletion.confirmed)
        self._refuse(deletion.refused)

    def _settle_deletions(self, work: FolderWork) -> None:
        """By POP3 a message that ends the connection would take back what was deleted before."""
        if not self._pending or self._lost is not None:
            return
        self._ledger.hold()
        self._pending, self._left = [], True
        deletion = self._source.finish()
        self._confirm(self._known_as[work.folder], deletion.confirmed)
        self._refuse(deletion.refused)

    def _confirm(self, folder: Folder, keys: frozenset[str]) -> None:
        if keys:
            identities = self._by_content.identities if self._by_content else {}
            identified = [identities.get(key, key) for key in keys]
            self._ledger.record_deleted(self._task.collector, folder, identified, self._now())
            self._tally.deleted += len(keys)
            self._progress()

    def _refuse(self, refused: Sequence[tuple[str, str]]) -> None:
        if refused:
            self._tally.notes.append(
                f"{len(refused)} messages stay on the server, their deletion was refused: "
                f"{refused[0][1]}"
            )

    def _close(self, folder: Folder | None) -> None:
        """Log out; POP3 deletes now (RFC 1939, section 6). A connection out of step is broken off
        instead."""
        if self._lost is not None or not self._in_step:
            self._source.abort()
            return
        if self._left:
            return
        if self._task.deletes:
            self._ledger.hold()
        deletion = self._source.finish()
        if folder is not None:
            self._confirm(self._known_as[folder], deletion.confirmed)
        self._refuse(deletion.refused)


def _undated(text: str) -> str:
    """Without when it was said: some servers put that into their texts (Dovecot, behind an internal
    error)."""
    return _MOMENT.sub("", text)


def _doubtfulness(attempt: Attempt) -> tuple[int, bool]:
    """In which order suspects are asked for: first who was only asked for with others."""
    previous = attempt.previous
    return (previous.attempts, bool(previous.reason)) if previous is not None else (0, False)
