"""Find out what a session would do, by logging in and listing only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field

from reconciler.collect.known_listing import KnownListing, look_up
from reconciler.collect.selection import Selection, select
from reconciler.collect.session_context import SessionTask
from reconciler.model.errors import CollectorError
from reconciler.model.interfaces import Ledger, Source
from reconciler.model.outcomes import Failure
from reconciler.model.status import CheckedFolder, CheckReport, CheckStep, SessionError

_SEEN_BY_RETR = (
    "over POP3 messages are read with RETR, which some servers take for reading: to other programs "
    "they then show as seen"
)
_ORPHANED = (
    "the account was changed, or the server has numbered its messages anew: those that were "
    "collected under other numbers are recognised by their headers and not collected again"
)


class AccountCheck(Struct):
    """Takes the steps that a session begins with; the first failure ends it. `ledger` is None where
    there is none yet."""

    task: SessionTask
    ledger: Ledger | None
    _steps: list[CheckStep] = field(default_factory=list)
    _listings: list[KnownListing] = field(default_factory=list)
    failure: Failure | None = None
    """The error that ended the check."""

    def run(
        self,
        read_secret: Callable[[], object],
        open_source: Callable[[], Source],
        look_at_destination: Callable[[], str],
    ) -> CheckReport:
        """Run the steps and return the report. `look_at_destination` returns a sentence about it,
        or raises DestinationUnavailable."""
        try:
            self._step("secret", read_secret, "found")
            self._step("log in and list", lambda: self._list(open_source()), "done")
            self._step("destination", look_at_destination, "reachable")
        except CollectorError as error:
            self.failure = Failure.of(error)
        return self._report(self.failure)

    def _step(self, name: str, do: Callable[[], object], done: str) -> None:
        try:
            result = do()
        except CollectorError as error:
            self._steps.append(CheckStep(step=name, ok=False, message=str(error)))
            raise
        self._steps.append(
            CheckStep(step=name, ok=True, message=result if isinstance(result, str) else done)
        )

    def _list(self, source: Source) -> str:
        try:
            for listing in source.listings(writable=False):
                known = (
                    look_up(self.ledger, self.task.collector, listing)
                    if self.ledger
                    else KnownListing(listing, listing.folder, {})
                )
                self._listings.append(known)
            source.finish()
        finally:
            source.abort()
        messages = sum(len(known.listing.messages) for known in self._listings)
        return f"{messages} messages in {len(self._listings)} folders"

    def _report(self, error: Failure | None) -> CheckReport:
        notes = [note for known in self._listings for note in known.listing.notes]
        if any(known.folder.account.protocol == "pop3" for known in self._listings):
            notes.append(_SEEN_BY_RETR)
        if self._has_orphans():
            notes.append(_ORPHANED)
        return CheckReport(
            name=self.task.collector,
            ok=error is None,
            steps=tuple(self._steps),
            folders=tuple(map(self._folder, self._listings)),
            first_session="" if error else self._sentence(),
            error=error and SessionError.of(error),
            notes=tuple(notes),
        )

    def _has_orphans(self) -> bool:
        """Return whether the first session will compare unknown messages with earlier ones."""
        return (
            self.ledger is not None
            and any(known.has_unknown for known in self._listings)
            and self.ledger.orphaned(
                self.task.collector, [known.folder for known in self._listings]
            )
        )

    def _folder(self, known: KnownListing) -> CheckedFolder:
        chosen = self._select([known], limit=0)
        return CheckedFolder(
            name=known.folder.name,
            messages=chosen.listed,
            bytes=sum(message.size or 0 for message in known.listing.messages),
            new=len(chosen.folders[0].attempts) + chosen.left,
            skipped=sum(chosen.skipped.values()),
        )

    def _select(self, listings: Sequence[KnownListing], limit: int) -> Selection:
        return select(listings, deletes=self.task.deletes, limit=limit, max_size=self.task.max_size)

    def _sentence(self) -> str:
        chosen = self._select(self._listings, self.task.limit)
        attempts = sum(len(work.attempts) for work in chosen.folders)
        deletes = (
            attempts + sum(len(work.delete) for work in chosen.folders) if self.task.deletes else 0
        )
        after = f"delete {deletes} from the server" if self.task.deletes else "delete nothing"
        return (
            f"would collect {attempts} of {chosen.listed} messages, leave {chosen.left} for later, "
            f"and {after}"
        )
