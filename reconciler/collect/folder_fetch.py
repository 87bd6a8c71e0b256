"""Collect one folder in a session: its messages are fetched and delivered in rounds, and deleted
from the server after each round.

A fetch that breaks down continues over another connection, without the messages that may be the
cause (`collect.fetch_failures`). These are asked for alone, after all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, islice, pairwise
from typing import Generic, TypeVar

from reconciler.collect.acknowledgement import Acknowledgement
from reconciler.collect.attempt_records import AttemptRecords
from reconciler.collect.fetch_failures import FetchFailures
from reconciler.collect.message_batches import MessageBatches
from reconciler.collect.selection import Attempt, FolderWork, rounds
from reconciler.collect.server_probe import ServerProbe
from reconciler.collect.session_connection import SessionConnection
from reconciler.collect.session_context import FetchProgress, S, SessionContext
from reconciler.model.errors import (
    CollectorError,
    FolderFailed,
    LedgerUnavailable,
    SourceError,
)
from reconciler.model.messages import Arrival, Fetched, Listed, Pace, Unfetched, Vanished

_ONE_BY_ONE = 100
"""Messages that are asked for one at a time after a connection on which nothing came, or that was
reset."""
_LOST_AGAIN = 10
"""Messages that failed before and may end a connection in one session; the others wait for the
next."""
_DELETED_TOGETHER = 1000


class FolderFetch(Generic[S]):
    """Collects one folder: all its messages first, then the suspects."""

    def __init__(
        self,
        context: SessionContext[S],
        connection: SessionConnection[S],
        progress: FetchProgress,
        records: AttemptRecords[S],
        batches: MessageBatches[S],
        acknowledgement: Acknowledgement[S],
        work: FolderWork,
    ) -> None:
        self._context = context
        self._connection = connection
        self._progress = progress
        self._batches = batches
        self._acknowledgement = acknowledgement
        self.work = work
        self._probe = ServerProbe(context, connection, progress, work)
        self._failures = FetchFailures(context, connection, progress, records, self._probe, work)

    def collect(self) -> None:
        """Collect all but the suspects, then delete messages that earlier sessions collected. So a
        server that fails to delete does not delay new mail."""
        work = self.work
        if work.listing.read_only and self._context.task.deletes:
            self._context.note(
                f"{work.folder.name}: the server opens this folder read-only, nothing is deleted"
            )
        for attempts in rounds(work.attempts):
            self._context.check_stop()
            if not self._round(attempts):
                break
        delete = self._but_a_probe(work.delete)
        for start in range(0, len(delete), _DELETED_TOGETHER):
            self._delete(delete[start : start + _DELETED_TOGETHER])

    def collect_suspects(self) -> None:
        """Collect the suspects, each asked for alone; those that failed least often come first."""
        attempts = [*self._failures.alone, *self.work.suspects]
        if not attempts:
            return
        self._context.check_stop()
        try:
            self._acknowledgement.settle(self.work)
            self._connection.ensure_connected()
        except FolderFailed:
            raise
        except SourceError as error:
            self._context.note(
                f"{len(attempts)} messages that may have ended a connection are not asked for "
                f"now: {error}"
            )
            return
        for _, alike in groupby(sorted(attempts, key=_failed_before), key=_failed_before):
            group = list(alike)
            # the same ones must not be the last in each session
            first = int(self._context.now().timestamp()) % len(group)
            if not self._round([*group[first:], *group[:first]], alone=True):
                break
        self._delete(self._probe.take_kept())

    def _round(self, attempts: Sequence[Attempt], *, alone: bool = False) -> bool:
        """Fetch and deliver the messages, then delete what is recorded: nothing is under way
        between two rounds. Return False when the session must make no more connections."""
        goes_on = self._fetch_all(attempts, alone=alone)
        self._failures.settle()
        recorded = self._batches.take_recorded()
        if self._context.task.deletes:
            self._delete(recorded if alone else self._but_a_probe(recorded))
        return goes_on

    def _fetch_all(self, attempts: Sequence[Attempt], *, alone: bool) -> bool:
        """Fetch the messages, over other connections where one is lost."""
        connection, progress = self._connection, self._progress
        open_ = {attempt.listed.key: attempt for attempt in attempts}
        order = {key: place for place, key in enumerate(open_)}
        while open_ and not (alone and progress.lost_again >= _LOST_AGAIN):
            connection.ensure_connected()
            before = progress.arrived
            one_by_one = alone or connection.fruitless > 0 or connection.was_reset
            part = open_ if alone or not one_by_one else dict(islice(open_.items(), _ONE_BY_ONE))
            try:
                self._fetch(open_, part, Pace.SINGLY if one_by_one else connection.pace)
                connection.was_reset = False
                if progress.arrived > before:
                    connection.fruitless = 0
            except FolderFailed:
                raise
            except SourceError as error:
                came = progress.arrived - before
                connection.note_loss(error)
                open_ = self._failures.connection_lost(
                    open_, error, alone=alone, one_by_one=one_by_one
                )
                connection.count_messages(came)
                self._failures.check_server(error)
                if not connection.may_go_on:
                    self._context.note(
                        f"{len(open_)} messages are left for the next session, as this one has "
                        f"lost enough connections: {error}"
                    )
                    return False
                if not came:
                    open_ = reorder(open_, order, last=connection.reconnections % 2 == 0)
        return True

    def _fetch(self, open_: dict[str, Attempt], part: Mapping[str, Attempt], pace: Pace) -> None:
        """Fetch the messages of `part`; each that is dealt with leaves `open_`."""
        folder = self.work.ledger_folder
        listed = [attempt.listed for attempt in part.values()]
        try:
            with self._connection.command():
                for fetched in self._context.source.fetch(self.work.folder, listed, pace):
                    self._take(open_[fetched.listed.key], fetched)
                    self._connection.last_fetched = type(fetched)
                    del open_[fetched.listed.key]
                    self._batches.flush_if_full(folder)
                    self._context.check_stop()
        except LedgerUnavailable:
            raise  # what is staged or committed is recognised and adopted next time
        except CollectorError:
            self._batches.finish(folder)
            raise
        self._batches.finish(folder)

    def _take(self, attempt: Attempt, fetched: Fetched) -> None:
        match fetched:
            case Vanished():
                self._failures.add_vanished(attempt, fetched)
            case Unfetched():
                self._failures.add_refused(attempt, fetched)
            case Arrival():
                self._failures.in_hand = attempt
                self._batches.add(self.work.ledger_folder, attempt, fetched)
                self._failures.in_hand = None
                self._progress.arrived += 1
                self._probe.add(fetched.listed)
                self._failures.message_came()

    def _but_a_probe(self, messages: Sequence[Listed]) -> Sequence[Listed]:
        """Keep one message on the server until the suspects were asked for: it shows whether
        anything comes."""
        if self._failures.alone or self.work.suspects:
            return self._probe.keep_one(messages)
        return messages

    def _delete(self, messages: Sequence[Listed]) -> None:
        self._probe.forget(self._acknowledgement.delete(self.work, messages))


def _failed_before(attempt: Attempt) -> tuple[int, bool]:
    """Return how often a suspect failed; one that was only asked for with others comes first."""
    previous = attempt.previous
    return (previous.attempts, bool(previous.reason)) if previous is not None else (0, False)


T = TypeVar("T")


def reorder(messages: Mapping[str, T], order: Mapping[str, int], *, last: bool) -> dict[str, T]:
    """Return the messages in an order that begins elsewhere, because many messages that do not come
    may be next to each other.

    It begins in the middle of the longest stretch that was not tried (or, with `last`, at its end
    and backwards). `order` gives the place of each message in the folder.
    """
    ordered = sorted(messages, key=order.__getitem__)
    begins = [
        0,
        *(n for n in range(1, len(ordered)) if order[ordered[n]] != order[ordered[n - 1]] + 1),
        len(ordered),
    ]
    begin, end = max(pairwise(begins), key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))
    middle = (begin + end) // 2
    chosen = (
        [*reversed(ordered[:end]), *reversed(ordered[end:])]
        if last
        else ordered[middle:] + ordered[:middle]
    )
    return {key: messages[key] for key in chosen}
