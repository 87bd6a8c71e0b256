"""One session: list, fetch, route, deliver, record, acknowledge.

    list          `AccountListing`: what the server lists, what the ledger knows, what to attempt
    fetch         `FolderFetch`: rounds of messages, over other connections where one is lost;
                  `FetchFailures` decides which message is to blame
    route         `MessageBatches`: whom a message is for; its bytes are staged there
    deliver       `BatchCommit`: a batch is committed while the next one is staged
    record        `AttemptRecords`: in the ledger, once the batch is durable at the destination
    acknowledge   `Acknowledgement`: deleted from the server, once the ledger has it

After a crash between any two of these, the next session recognises the state. A message committed
but not recorded is delivered again under the same name and adopted; recorded but not deleted is
only deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic

from reconciler.collect.account_listing import AccountListing
from reconciler.collect.acknowledgement import Acknowledgement
from reconciler.collect.attempt_records import AttemptRecords
from reconciler.collect.folder_fetch import FolderFetch
from reconciler.collect.message_batches import MessageBatches
from reconciler.collect.selection import FolderWork
from reconciler.collect.session_connection import SessionConnection
from reconciler.collect.session_context import (
    FetchProgress,
    S,
    SessionContext,
    SessionTask,
    Steering,
    Tally,
)
from reconciler.model.errors import CollectorError, FolderFailed, LedgerUnavailable
from reconciler.model.history import Alert
from reconciler.model.interfaces import Ledger, MailDestination, Source
from reconciler.model.outcomes import Failure, Outcome, SessionReport

ALERTS = 5
"""The number of a server's alerts that are kept. A kept one is not noted again."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?")


class Session(Generic[S]):
    """Runs once, in one thread. Failures end it and are in the report; only our own defects are
    raised."""

    def __init__(
        self,
        task: SessionTask,
        source: Source,
        destination: MailDestination[S],
        ledger: Ledger,
        steering: Steering,
        now: Callable[[], datetime],
    ) -> None:
        self._context = SessionContext(
            task, source, destination, ledger, steering, now, Tally(now())
        )
        self._progress = FetchProgress()
        self._connection = SessionConnection(self._context)
        self._listing = AccountListing(self._context, self._connection, self._progress)
        reidentification = self._listing.reidentification
        self._records = AttemptRecords(self._context, reidentification)
        self._batches = MessageBatches(self._context, self._records, reidentification)
        self._acknowledgement = Acknowledgement(self._context, self._connection)
        self._last_work: FolderWork | None = None

    def run(self) -> SessionReport:
        """List the account, collect from each folder, log out, and report."""
        error: CollectorError | None = None
        try:
            self._collect(self._listing.select())
        except CollectorError as failure:
            error = failure
            self._batches.abandon()
        finally:
            self._batches.close()
        try:
            self._acknowledgement.close(self._last_work)
        except CollectorError as failure:
            error = error or failure
            self._context.source.abort()
        self._note_alerts()
        return self._report(error)

    def _collect(self, works: Sequence[FolderWork]) -> None:
        """Fetch, route, deliver, record and acknowledge: first in every folder the ordinary
        messages, then in every folder the suspects."""
        fetches = [self._fetch_of(work) for work in works]
        failed: list[FolderFetch[S]] = []
        for collect in (FolderFetch.collect, FolderFetch.collect_suspects):
            for fetch in fetches:
                if fetch in failed:
                    continue
                if fetch.work is not self._last_work:
                    self._connection.fruitless = 0  # another folder may give something
                self._last_work = fetch.work
                try:
                    collect(fetch)
                except FolderFailed as error:
                    failed.append(fetch)
                    self._give_up_folder(error, len(failed), sole=len(works) == 1)
        if self._progress.trouble is not None and not self._progress.arrived:
            raise self._progress.trouble

    def _fetch_of(self, work: FolderWork) -> FolderFetch[S]:
        return FolderFetch(
            self._context,
            self._connection,
            self._progress,
            self._records,
            self._batches,
            self._acknowledgement,
            work,
        )

    def _give_up_folder(self, error: FolderFailed, failed: int, *, sole: bool) -> None:
        """Go on without the folder. Raise the error for the account if this is its only folder, or
        not the first failed one while nothing has come."""
        progress = self._progress
        progress.trouble = progress.trouble or error.alone
        if error.alone and (sole or (failed > 1 and not progress.arrived)):
            raise error.alone from None
        if sole:
            raise error
        self._batches.take_recorded()
        self._context.note(str(error))
        if not self._connection.in_step:
            self._connection.lost = error

    def _note_alerts(self) -> None:
        """Keep what the server wants people to be told, and note what it says for the first
        time."""
        context = self._context
        alerts = context.source.alerts
        if not alerts:
            return
        try:
            known = context.ledger.alerts(context.task.collector)
            known_texts = {_undated(alert.text) for alert in known}
            new = [
                Alert(text, context.now())
                for text in {
                    _undated(text): text for text in alerts if _undated(text) not in known_texts
                }.values()
            ]
            if new:
                context.ledger.keep_alerts(context.task.collector, [*new, *known][:ALERTS])
        except LedgerUnavailable:
            # The next session notes them. What is wrong with the ledger is reported by the step
            # that fails at it.
            return
        context.tally.notes.extend(f"the server's alert: {alert.text}" for alert in new)

    def _report(self, error: CollectorError | None) -> SessionReport:
        context = self._context
        if recognised := self._listing.reidentification.recognised:
            context.note(
                f"{recognised} messages have other numbers than when they were collected (the "
                "server renumbered, or the account was changed): not collected again"
            )
        if error is None:
            return context.tally.report(context.now(), Outcome.SUCCEEDED)
        if context.steering.stopping:
            return context.tally.report(context.now(), Outcome.INTERRUPTED)
        return context.tally.report(context.now(), Outcome.FAILED, Failure.of(error))


def _undated(text: str) -> str:
    """Return the text without a time: some servers put one into their alerts (Dovecot, behind an
    internal error)."""
    return _MOMENT.sub("", text)
