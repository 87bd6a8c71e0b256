"""One session: list, take what the ledger lacks, fetch, route, deliver, record, acknowledge.

Two things go on at once: messages of one batch are fetched and staged, while the batch before it is committed to its
destination and recorded in the ledger (`commits`). Only what is recorded is deleted from the server. A crash between
any two of these leaves a state that the next session recognises: committed but not recorded is delivered again under
the same name and adopted; recorded but not deleted is only deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

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
    DestinationUnavailable,
    LedgerUnavailable,
    SourceUnsuitable,
    Stopped,
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
    Unfetched,
    Vanished,
)
from reconciler.model.outcomes import Entry, Failure, MessageState, Outcome, Record, SessionReport
from reconciler.model.routing import Routing

ATTEMPTS = 5
"""A message that failed this often on its own account is parked."""
PUT_OFF = 3
"""So many messages in a row, for as many mailboxes, put off for every recipient: the destination takes nothing now, so
fetching ends. A single mailbox that is full does not hold up the others."""
BATCH_OCTETS = 8 << 20
"""A batch is committed when so much is staged, or as many messages as the destination takes together."""
_SLACK = 1 << 20


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
        self._reidentification = Reidentification(task.collector, source, ledger, now)
        self._commits = Commits(task.collector, destination, ledger, self._reidentification.adopt, now)
        self._known_as: dict[Folder, Folder] = {}
        self._epoch = 0
        self._put_off: list[Sequence[str]] = []
        self._in_step = True  # no reply of the server is outstanding: QUIT or LOGOUT would be understood

    def run(self) -> SessionReport:
        error: CollectorError | None = None
        folder: Folder | None = None
        try:
            for work in self._select():
                folder = work.folder
                self._folder(work)
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
        self._destination.discard([message.staged for message in abandoned])
        for _ in abandoned:
            self._tally.fail()

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
        self._epoch = self._ledger.epoch(self._task.collector)
        if kept := unchanged(self._task.collector, self._task.digest, self._source, self._ledger, self._now(),
                             writable=self._task.deletes):
            take_over(kept, self._tally)
            return ()
        places = [self._look_up(listing) for listing in self._source.listings(writable=self._task.deletes)]
        self._in_step = False
        self._reidentification.by_headers(places, self._check_stop)
        self._in_step = True
        chosen = select([(place.listing, place.entries) for place in places], deletes=self._task.deletes,
                        limit=self._task.limit, max_size=self._task.max_size)
        self._tally.listed, self._tally.skipped, self._tally.parked = chosen.listed, chosen.skipped, chosen.parked
        self._tally.left = chosen.left + sum(len(work.attempts) for work in chosen.folders)
        self._reidentification.remember(places, chosen.folders)
        if settled(chosen.folders, self._tally):
            self._keep_standing()
        self._progress()
        return chosen.folders

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

    def _folder(self, work: FolderWork) -> None:
        if work.listing.read_only and self._task.deletes:
            self._tally.notes.append(f"{work.folder.name}: the server opens this folder read-only, nothing is deleted")
        for start in range(0, len(work.delete), 1000):
            self._delete(work, work.delete[start:start + 1000])
        for attempts in rounds(work.attempts):
            self._check_stop()
            self._round(work, attempts)

    def _check_stop(self) -> None:
        if self._steering.stopping:
            raise Stopped("told to stop")

    def _progress(self) -> None:
        self._steering.progress(self._tally.report(self._now(), Outcome.RUNNING))

    # -- fetching

    def _round(self, work: FolderWork, attempts: Sequence[Attempt]) -> None:
        """Fetch and deliver, then delete what is recorded: nothing is under way between two rounds."""
        by_key = {attempt.listed.key: attempt for attempt in attempts}
        folder = self._known_as[work.folder]
        self._in_step = False
        try:
            for fetched in self._source.fetch(work.folder, [attempt.listed for attempt in attempts]):
                self._take(folder, by_key[fetched.listed.key], fetched)
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
        done, self._unacknowledged = self._unacknowledged, []
        if self._task.deletes:
            self._delete(work, done)

    def _take(self, folder: Folder, attempt: Attempt, fetched: Fetched) -> None:
        match fetched:
            case Vanished():
                self._tally.skip(VANISHED)
            case Unfetched(reason=reason):
                self._fail(folder, attempt, reason)
            case Arrival():
                try:
                    self._stage(folder, attempt, fetched)
                except LedgerUnavailable:
                    raise
                except DestinationUnavailable as error:  # everybody's trouble: the message waits behind new ones
                    if not self._steering.stopping:
                        self._put(folder, attempt, MessageState.FAILED, str(error))
                    raise
                except CollectorError as error:
                    if not self._steering.stopping:
                        self._fail(folder, attempt, str(error))
                    raise

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
        return DeliveryId(self._task.collector, self._epoch, folder, key, attempt.occurrence)

    def _fail(self, folder: Folder, attempt: Attempt, reason: str) -> None:
        if attempt.previous and attempt.previous.state is MessageState.PRESUMED:
            self._tally.skip(COLLECTED_BEFORE)  # it could not be compared, so it stays where it is
            return
        attempts = 1 + (attempt.previous.attempts if attempt.previous else 0)
        if attempts >= ATTEMPTS:
            self._put(folder, attempt, MessageState.PARKED, f"given up after {attempts} attempts: {reason}")
        else:
            self._put(folder, attempt, MessageState.FAILED, reason)

    def _put(self, folder: Folder, attempt: Attempt, state: MessageState, reason: str,
             fingerprint: Fingerprint | None = None) -> None:
        """Record a message that was not delivered."""
        record = Record(attempt.key, state, attempt.listed.size or 0, attempt.occurrence, fingerprint, reason=reason)
        self._commits.write(folder, [(attempt, record)])
        self._count(record)

    # -- commit, record, acknowledge

    def _flush(self, folder: Folder) -> None:
        """Commit what is staged while more is fetched. Not so where messages are committed singly: each of them is to
        be recorded before the next one."""
        pending = self._next_batch()
        if self._destination.batch_size > 1:
            self._under_way = self._commits.begin(folder, pending, named=self._named)
        else:
            self._go_on(self._commits.run(folder, pending, named=self._named))

    def _finish_batches(self, folder: Folder) -> None:
        if pending := self._next_batch():
            self._go_on(self._commits.run(folder, pending, named=self._named))

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
            case MessageState.PARKED:
                self._tally.park()
            case MessageState.FAILED:
                self._tally.fail()

    def _feel_pressure(self, recorded: Sequence[tuple[Pending[S], Record]]) -> None:
        for message, record in recorded:
            if record.state is not MessageState.FAILED or record.delivered:
                self._put_off = []
                continue
            self._put_off.append(message.recipients)
            mailboxes = {address for recipients in self._put_off for address in recipients}
            if len(self._put_off) >= PUT_OFF and len(mailboxes) >= (1 if self._task.single else PUT_OFF):
                raise DestinationUnavailable(f"the destination takes nothing now, fetching ends: {record.reason}")

    def _delete(self, work: FolderWork, messages: Sequence[Listed]) -> None:
        if not messages or work.listing.read_only:
            return
        self._ledger.hold()
        deletion = self._source.delete(work.folder, messages)
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
        if not self._in_step:
            self._source.abort()
            return
        if self._task.deletes:
            self._ledger.hold()
        deletion = self._source.finish()
        if folder is not None:
            self._confirm(self._known_as[folder], deletion.confirmed)
        self._refuse(deletion.refused)
