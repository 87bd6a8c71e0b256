"""One session: list, take what the ledger lacks, fetch, route, deliver, record, acknowledge.

Two things go on at once: messages of one batch are fetched and staged, while the batch before it is committed to its
destination and recorded in the ledger (`commits`). Only what is recorded is deleted from the server. A crash between
any two of these leaves a state that the next session recognises: committed but not recorded is delivered again under
the same name and adopted; recorded but not deleted is only deleted.

A fetch that breaks down is gone on with over another connection, without the messages that may be the cause: `suspects`
says who they are and what becomes of them. What was collected before is deleted after the others were fetched: a server
that fails at deleting does not keep new mail away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from reconciler.collect import suspects as blame
from reconciler.collect.commits import Commits, Committed, Pending
from reconciler.collect.incoming import Incoming
from reconciler.collect.reidentify import Known, Reidentification, look_up
from reconciler.collect.selection import COLLECTED_BEFORE, VANISHED, Attempt, FolderWork, rounds, select
from reconciler.collect.spool import spool
from reconciler.collect.standing import settled, standing, take_over, unchanged
from reconciler.collect.tally import Tally
from reconciler.collect.unkeyed import ByContent
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
from reconciler.model.interfaces import Destination, Ledger, Source, Staged
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
from reconciler.model.routing import Routing

PUT_OFF = 3
"""So many messages in a row, for as many mailboxes, put off for every recipient: the destination takes nothing now, so
fetching ends. A single mailbox that is full does not hold up the others."""
BATCH_OCTETS = 8 << 20
"""A batch is committed when so much is staged, or as many messages as the destination takes together."""
_SLACK = 1 << 20
_DELETE_LOSSES = 3
_HEADER_LOSSES = 6
_BREAKDOWNS = (ConnectionFailed, ProtocolViolation, Throttled)
"""What ends a connection in the middle of a command, and may be one message's fault."""
_KEPT = (MessageState.PRESUMED, MessageState.SUSPECT, MessageState.UNFETCHED, MessageState.PAUSED)
"""States that a suspicion does not replace."""
_GONE = "the server lists it, and says that it is gone when it is asked for"


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
        """Somebody asked for this session: pauses that are not the server's wish do not count."""

    def another_login(self) -> None:
        """The session is about to log in once more."""

    def progress(self, report: SessionReport) -> None: ...


S = TypeVar("S", bound=Staged)


class Session(Generic[S]):
    """Runs once, in one thread. Failures end it and are in the report; only defects of our own are raised."""

    def __init__(self, task: Task, source: Source, destination: Destination[S], ledger: Ledger,
                 steering: Steering, now: Callable[[], datetime]) -> None:
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
        self._commits = Commits(task.collector, destination, ledger, self._reidentification.adopt, now)
        self._known_as: dict[Folder, Folder] = {}
        self._epoch = 0
        self._first_name = ""
        self._sole = False
        """There is one message to attempt, so that nothing else can come."""
        self._put_off: list[Sequence[str]] = []
        self._in_step = True  # no reply of the server is outstanding: QUIT or LOGOUT would be understood
        self._lost: SourceError | None = None
        """Why there is no connection now."""
        self._left = False
        """The connection was ended in good order, so that the server deletes."""
        self._pending = False
        self._pace = Pace.AHEAD
        self._reconnections = self._barren = self._losses = self._header_losses = self._arrived = 0
        self._in_hand: Attempt | None = None
        self._refused: list[tuple[Attempt, Unfetched]] = []
        self._alone: defaultdict[Folder, list[Attempt]] = defaultdict(list)
        """Those that are to be asked for by themselves in this session still."""
        self._arrivals: defaultdict[Folder, list[Listed]] = defaultdict(list)
        """What came, and is still on the server."""
        self._excused: set[str] = set()
        """Those that were asked for when the connection was lost, right after another one was refused."""
        self._likely: list[tuple[Folder, Attempt, str]] = []
        """Suspects of which it is not known yet whether anything but them comes."""
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
        return self._report(error)

    def _abandon(self) -> None:
        """Nothing of what is only staged remains."""
        if self._under_way is not None:
            self._take_account(self._under_way.result())  # another error than the first one is not told
        abandoned, self._staged = self._staged, []
        for _ in abandoned:
            self._tally.fail()
        try:
            self._destination.discard([message.staged for message in abandoned])
        except CollectorError as error:
            self._tally.notes.append(f"what was staged is not removed: {error}")

    def _report(self, error: CollectorError | None) -> SessionReport:
        if recognised := self._reidentification.recognised:
            self._tally.notes.append(f"{recognised} messages have other numbers than when they were collected (the "
                                     "server renumbered, or the account was changed): not collected again")
        if error is None:
            return self._tally.report(self._now(), Outcome.SUCCEEDED)
        if self._steering.stopping:
            return self._tally.report(self._now(), Outcome.INTERRUPTED)
        return self._tally.report(self._now(), Outcome.FAILED, Failure.of(error))

    # -- listing

    def _select(self) -> Sequence[FolderWork]:
        self._first_name, self._epoch = self._ledger.identity(self._task.collector)
        if kept := unchanged(self._task.collector, self._task.digest, self._source, self._ledger, self._now(),
                             writable=self._task.deletes):
            take_over(kept, self._tally)
            return ()
        places = [self._look_up(listing) for listing in self._source.listings(writable=self._task.deletes)]
        self._reidentification.by_headers(places, self._check_stop)
        chosen = select([(place.listing, place.entries) for place in places], deletes=self._task.deletes,
                        limit=self._task.limit, max_size=self._task.max_size, due=self._is_due)
        self._tally.listed, self._tally.skipped, self._tally.parked = chosen.listed, chosen.skipped, chosen.parked
        self._tally.left = chosen.left + chosen.attempts
        self._sole = chosen.attempts == 1
        if settled(chosen.folders, self._tally) and not chosen.paused:
            self._keep_standing()
        self._progress()
        return [work.chosen() for work in chosen.folders]

    def _headers(self, folder: Folder, messages: Sequence[Listed]) -> Iterable[tuple[Listed, bytes | None]]:
        """As far as the server gives them: what ends the connection is tried once more; then those that are left of
        `messages` are done without."""
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

    def _look_up(self, listing: Listing) -> Known:
        place = look_up(self._ledger, self._task.collector, listing)
        self._known_as[listing.folder] = place.folder
        self._tally.notes.extend(listing.notes)
        if place.alarming:
            self._tally.notes.append(f"{listing.folder.name}: the server has numbered its messages anew without saying "
                                     "so (same UIDVALIDITY); known ones are looked for by their content")
        if not listing.keys_stable:
            self._go_by_content(place.entries)
        return place

    def _keep_standing(self) -> None:
        found = standing(self._source, self._task.digest, self._tally, self._now())
        if found is not None:
            self._ledger.keep_standing(self._task.collector, self._epoch, found)

    def _go_by_content(self, known: Mapping[str, Entry]) -> None:
        if self._task.mode != "all-delete":
            raise SourceUnsuitable("the server has no UIDL, so collected messages cannot be told from new ones: "
                                   f"mode {self._task.mode} is impossible here, all-delete is not")
        self._by_content = ByContent(known)

    def _is_due(self, entry: Entry) -> bool:
        return self._steering.insisting or blame.is_due(entry, self._now())

    def _guarded(self, work: FolderWork, do: Callable[[FolderWork], None], *, sole: bool) -> None:
        """A fault of one folder is that folder's."""
        try:
            do(work)
        except FolderFailed as error:
            if sole:
                raise
            self._unacknowledged, self._refused = [], []
            self._tally.notes.append(str(error))
            if not self._in_step:
                self._lost = error

    def _folder(self, work: FolderWork) -> None:
        if work.listing.read_only and self._task.deletes:
            self._tally.notes.append(f"{work.folder.name}: the server opens this folder read-only, nothing is deleted")
        for attempts in rounds(work.attempts):
            self._check_stop()
            self._round(work, attempts)
        for start in range(0, len(work.delete), 1000):
            self._delete(work, work.delete[start:start + 1000])

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
            self._tally.notes.append(f"{len(attempts)} messages that may have ended a connection are not asked for "
                                     f"now: {error}")
            return
        turn = int(self._now().timestamp()) % len(attempts)  # the same ones must not always be the last
        attempts = [*attempts[turn:], *attempts[:turn]]
        self._round(work, sorted(attempts, key=_doubtfulness), singly=True)

    def _check_stop(self) -> None:
        if self._steering.stopping:
            raise Stopped("told to stop")

    def _progress(self) -> None:
        self._steering.progress(self._tally.report(self._now(), Outcome.RUNNING))

    # -- fetching

    def _round(self, work: FolderWork, attempts: Sequence[Attempt], *, singly: bool = False) -> None:
        """Fetch and deliver, then delete what is recorded: nothing is under way between two rounds."""
        open_ = {attempt.listed.key: attempt for attempt in attempts}
        while open_ and not (singly and self._losses >= blame.LOSSES):
            self._connected()
            before = self._arrived
            try:
                self._fetch(work, open_, Pace.SINGLY if singly else self._pace)
            except FolderFailed:
                raise
            except SourceError as error:
                if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                    raise
                self._lose(error)
                self._barren = 0 if self._arrived > before else self._barren + 1
                if singly:
                    found = self._convict(work, open_, error)
                    if self._barren >= blame.BARREN and not (self._arrived and found):
                        break
                    continue
                self._suspect(work, open_, error)
                if self._barren >= blame.BARREN + bool(self._arrived):
                    self._mark(self._known_as[work.folder], [(attempt, "") for attempt, _ in self._refused])
                    raise
                if self._barren:  # perhaps there are many of the kind side by side: go on from the other end
                    open_ = dict(reversed(open_.items()))
        self._judge(work)
        done, self._unacknowledged = self._unacknowledged, []
        if self._task.deletes:
            self._delete(work, done)

    def _fetch(self, work: FolderWork, open_: dict[str, Attempt], pace: Pace) -> None:
        """Each that is settled leaves `open_`."""
        folder = self._known_as[work.folder]
        self._in_step = False
        try:
            for fetched in self._source.fetch(work.folder, [attempt.listed for attempt in open_.values()], pace):
                self._take(folder, open_[fetched.listed.key], fetched)
                del open_[fetched.listed.key]
                if len(self._staged) >= self._destination.batch_size or self._staged_octets >= BATCH_OCTETS:
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
                self._vanish(folder, attempt)
            case Unfetched():
                self._take_refusal(folder, attempt, fetched)
            case Arrival():
                self._in_hand = attempt
                try:
                    self._stage(folder, attempt, fetched)
                except (LedgerUnavailable, SourceError):
                    raise
                except DestinationUnavailable as error:  # everybody's trouble: the message waits behind new ones
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
                if self._refused or self._likely:
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
        recipients = [found.address for found in routing.recipients if found.address not in attempt.served]
        message = self._delivery(folder, attempt)
        staged = self._destination.stage(message, content, recipients)
        if attempt.previous and attempt.previous.deleted \
                and attempt.previous.content == incoming.fingerprint.content:
            self._destination.discard([staged])
            self._tally.skip(COLLECTED_BEFORE)  # it came back although its deletion was confirmed
            self._unacknowledged.append(attempt.listed)
        else:
            self._staged.append(Pending(attempt, staged, recipients, incoming.fingerprint,
                                        routing.reason if routing.parked else "", arrival.doubt()))
            self._staged_octets += staged.size

    def _delivery(self, folder: Folder, attempt: Attempt) -> DeliveryId:
        """A delivery that has begun under another key goes on under that, so that it is recognised."""
        folder, key = (attempt.origin.folder, attempt.origin.entry.key) if attempt.origin else (folder, attempt.key)
        return DeliveryId(self._first_name, self._epoch, folder, key, attempt.occurrence)

    def _fail(self, folder: Folder, attempt: Attempt, reason: str) -> None:
        if attempt.previous and attempt.previous.state is MessageState.PRESUMED:
            self._tally.skip(COLLECTED_BEFORE)  # it could not be compared, so it stays where it is
            return
        attempts = 1 + (attempt.previous.attempts if attempt.previous else 0)
        if attempts >= blame.ATTEMPTS:
            self._put(folder, attempt, MessageState.PARKED, f"given up after {attempts} attempts: {reason}")
        else:
            self._put(folder, attempt, MessageState.FAILED, reason)

    def _put(self, folder: Folder, attempt: Attempt, state: MessageState, reason: str,
             fingerprint: Fingerprint | None = None) -> None:
        """Record a message that was not delivered. Where the server has no keys, nothing can be said of it for longer
        than this session."""
        record = Record(attempt.key, state, attempt.listed.size or 0, attempt.occurrence, fingerprint, reason=reason,
                        counted=state is MessageState.SUSPECT)
        if self._named or attempt.identity:
            self._commits.write(folder, [(attempt, record)])
        self._count(record)

    # -- what does not come

    def _lose(self, error: SourceError) -> None:
        """There is no connection any more; the next step that needs one makes another."""
        self._lost, self._pending = error, False

    def _connected(self) -> None:
        """Log in once more where the connection is gone. Raises what ended it, where that does not help."""
        if self._lost is None and not self._left:
            return
        self._check_stop()
        if self._reconnections >= blame.RECONNECTIONS:
            raise self._lost or ConnectionFailed("the session has made enough connections")
        lost, self._lost, self._left = self._lost, None, False
        self._reconnections += 1
        self._pace = Pace.STEADY
        self._steering.another_login()
        self._in_step = False
        try:
            self._source.reconnect()
        except (Throttled, FolderFailed) as error:
            self._lost = error
            raise
        except SourceError as error:
            self._lost = lost or error
            raise self._lost from None
        self._in_step = True

    def _causes(self, open_: dict[str, Attempt]) -> list[Attempt]:
        """The messages of which one may have ended the fetch, the likeliest first; they are open no longer."""
        found, self._in_hand = self._in_hand, None
        keys = [found.listed.key] if found else [listed.key for listed in self._source.suspects]
        return [open_.pop(key) for key in keys if key in open_]

    def _suspect(self, work: FolderWork, open_: dict[str, Attempt], error: SourceError) -> None:
        """The likeliest waits for the next session, which may be luckier; the others are asked for after all else."""
        causes = self._causes(open_)
        self._trouble = self._trouble or error
        if self._refused and not self._excused & {attempt.listed.key for attempt in causes}:
            self._excused |= {attempt.listed.key for attempt in causes}  # it was the one that had been refused just now
            open_ |= {attempt.listed.key: attempt for attempt in causes}
            return
        if not causes:
            return
        likeliest, *others = causes
        folder = self._known_as[work.folder]
        if likeliest.previous is not None and likeliest.previous.state is MessageState.PRESUMED:
            others = [*others, likeliest]  # the ledger keeps what it knows of it
        else:
            self._likely.append((folder, likeliest, str(error)))
            self._mark(folder, [(likeliest, "")])
            if self._arrived:
                self._see(folder)
            self._tally.notes.append(f"a message is asked for by itself next time, the connection was lost with it: "
                                     f"{error}")
        self._mark(folder, [(attempt, "") for attempt in others])
        self._alone[work.folder].extend(others)

    def _see(self, folder: Folder) -> None:
        """Something came: the server does not fail for everybody."""
        self._charge_refused(folder)
        likely, self._likely = self._likely, []
        for place, attempt, words in likely:
            self._mark(place, [(attempt, words)])

    def _mark(self, folder: Folder, suspects: Iterable[tuple[Attempt, str]]) -> None:
        """So that the next session knows. The reason: while others came, it did not (`suspects.is_proven`)."""
        records = [(attempt, Record(attempt.key, MessageState.SUSPECT, attempt.listed.size or 0, attempt.occurrence,
                                    reason=reason))
                   for attempt, reason in suspects if self._named and attempt.origin is None
                   and (attempt.previous is None or attempt.previous.state not in _KEPT)]
        self._commits.write(folder, records)

    def _convict(self, work: FolderWork, open_: dict[str, Attempt], error: SourceError) -> bool:
        """One that was asked for by itself has ended the connection. False: none has."""
        causes = self._causes(open_)
        if not causes:
            return False  # it had come before the connection ended
        attempt = causes[0]
        self._losses += blame.is_proven(attempt.previous)
        folder = self._known_as[work.folder]
        proven = blame.is_proven(attempt.previous) or self._arrived > 0 or self._gives(work)
        if proven or self._sole:
            lost = not isinstance(error, ProtocolViolation)
            self._charge(folder, attempt, str(error), lost=lost, proven=proven)
        else:
            self._mark(folder, [(attempt, "")])
        if not proven:
            self._trouble = self._trouble or error
        return True

    def _judge(self, work: FolderWork) -> None:
        """Those that were refused, with nothing that came after them."""
        if not self._refused:
            return
        folder = self._known_as[work.folder]
        later = next((found.later for _, found in self._refused if found.later is not None), None)
        if (self._arrived and later is None) or self._gives(work):
            self._charge_refused(folder)
            return
        refused, self._refused = self._refused, []
        trouble = later or SourceError(f"the server gives no message: {refused[-1][1].reason}")
        unproven = [(attempt, found) for attempt, found in refused if not blame.is_proven(attempt.previous)]
        for attempt, found in refused:
            if self._sole or blame.is_proven(attempt.previous):
                self._charge(folder, attempt, found.reason, proven=later is None or not unproven)
            else:
                self._mark(folder, [(attempt, "")])
        if unproven and later is not None:
            raise trouble
        if unproven and not self._sole:
            self._trouble = self._trouble or trouble

    def _charge_refused(self, folder: Folder) -> None:
        refused, self._refused = self._refused, []
        for attempt, found in refused:
            self._charge(folder, attempt, found.reason)

    def _charge(self, folder: Folder, attempt: Attempt, reason: str, *, lost: bool = False,
                proven: bool = True) -> None:
        """Count that it failed by itself. `lost`: with it the connection; not `proven`: everything else might have
        failed, too."""
        attempts = 1 + (attempt.previous.attempts if attempt.previous else 0)
        if attempt.previous is not None and attempt.previous.state is MessageState.PRESUMED:
            why = f"it cannot be compared: {reason}" if attempts >= blame.ATTEMPTS else ""
            record = Record(attempt.key, MessageState.PRESUMED, attempt.listed.size or 0, attempt.previous.occurrence,
                            reason=why, counted=True)
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

    def _vanish(self, folder: Folder, attempt: Attempt) -> None:
        """A message that is listed again and again, and gone whenever it is asked for, is one that is not given."""
        if attempt.previous is not None and attempt.previous.reason.endswith(_GONE):
            self._refused.append((attempt, Unfetched(attempt.listed, _GONE)))
            return
        self._mark(folder, [(attempt, _GONE)])
        self._tally.skip(VANISHED)

    def _gives(self, work: FolderWork) -> bool:
        """Whether the server gives a message that it gave before: then it fails for one only."""
        witness = blame.smallest(self._arrivals[self._known_as[work.folder]]) or blame.smallest(work.collected)
        if witness is None:
            return False
        came = False
        try:
            self._connected()
            self._in_step = False
            for fetched in self._source.fetch(work.folder, [witness], Pace.SINGLY):
                if isinstance(fetched, Arrival):
                    came = sum(map(len, fetched.content)) > 0
            self._in_step = True
        except FolderFailed:
            raise
        except SourceError as error:
            if self._steering.stopping:
                raise
            self._lose(error)
        self._arrived += came
        return came

    # -- commit, record, acknowledge

    def _flush(self, folder: Folder) -> None:
        """Commit what is staged while more is fetched. Not so where messages are committed singly: each of them is to
        be recorded before the next one."""
        pending = self._next_batch()
        if self._destination.batch_size > 1:
            self._under_way = self._commits.begin(folder, pending, named=self._named)
        else:
            self._commit(folder, pending)

    def _finish_batches(self, folder: Folder) -> None:
        if pending := self._next_batch():
            self._commit(folder, pending)

    def _commit(self, folder: Folder, pending: Sequence[Pending[S]]) -> None:
        """In this thread. A message that a mail system failed with waits behind new ones: it may be what that fails
        at."""
        committed = self._commits.run(folder, pending, named=self._named)
        error = committed.error
        if isinstance(error, DestinationUnavailable) and error.at_message and not self._steering.stopping:
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
        self._feel_pressure(committed)

    def _take_account(self, committed: Committed[S]) -> None:
        for message, record in committed.recorded:
            self._count(record)
            if record.state is MessageState.COLLECTED and record.reason:
                self._tally.notes.append(f"a message is delivered and stays on the server: {record.reason}")
            elif record.state is MessageState.COLLECTED:
                self._unacknowledged.append(message.attempt.listed)
        for _ in range(committed.unrecorded):
            self._tally.fail()
        self._staged = committed.staged + self._staged
        if committed.recorded:
            self._progress()

    def _count(self, record: Record) -> None:
        match record.state:
            case MessageState.COLLECTED:
                self._tally.collect(record.size)
            case MessageState.PARKED | MessageState.PAUSED:
                self._tally.park()
            case MessageState.FAILED | MessageState.UNFETCHED | MessageState.SUSPECT:
                self._tally.fail()

    def _feel_pressure(self, committed: Committed[S]) -> None:
        for message, record in committed.recorded:
            if record.state is not MessageState.FAILED or record.delivered:
                self._put_off = []
                continue
            self._put_off.append(message.recipients)
            mailboxes = {address for recipients in self._put_off for address in recipients}
            if len(self._put_off) >= PUT_OFF and len(mailboxes) >= (1 if self._task.single else PUT_OFF):
                raise DestinationUnavailable(f"the destination takes nothing now, fetching ends: {record.reason}",
                                             retry_after=committed.wait)

    def _delete(self, work: FolderWork, messages: Sequence[Listed]) -> None:
        """What fails with the connection is tried once more, then by halves; the next session goes on from there."""
        parts, losses = [messages] if messages and not work.listing.read_only else [], 0
        while parts:
            part = parts.pop(0)
            self._ledger.hold()
            self._connected()
            try:
                self._delete_part(work, part)
            except FolderFailed:
                raise
            except SourceError as error:
                if self._steering.stopping or not isinstance(error, _BREAKDOWNS):
                    raise
                self._lose(error)
                losses += 1
                if losses == 1:
                    parts.insert(0, part)
                elif losses <= _DELETE_LOSSES and len(part) > 1:
                    parts[:0] = [part[:len(part) // 2], part[len(part) // 2:]]
                else:
                    self._refuse([(listed.key, str(error)) for listed in part])

    def _delete_part(self, work: FolderWork, messages: Sequence[Listed]) -> None:
        self._in_step = False
        deletion = self._source.delete(work.folder, messages)
        self._in_step = True
        folder, gone = self._known_as[work.folder], deletion.confirmed | deletion.pending
        self._arrivals[folder] = [listed for listed in self._arrivals[folder] if listed.key not in gone]
        self._pending = self._pending or bool(deletion.pending)
        self._confirm(folder, deletion.confirmed)
        self._refuse(deletion.refused)

    def _settle_deletions(self, work: FolderWork) -> None:
        """By POP3 a message that ends the connection would take back what was deleted before."""
        if not self._pending or self._lost is not None:
            return
        self._ledger.hold()
        self._pending, self._left = False, True
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
            self._tally.notes.append(f"{len(refused)} messages stay on the server, their deletion was refused: "
                                     f"{refused[0][1]}")

    def _close(self, folder: Folder | None) -> None:
        """Log out; POP3 deletes now (RFC 1939, section 6). A connection out of step is broken off instead."""
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


def _doubtfulness(attempt: Attempt) -> tuple[int, bool]:
    """In which order suspects are asked for: first who was only asked for with others."""
    previous = attempt.previous
    return (previous.attempts, bool(previous.reason)) if previous is not None else (0, False)
