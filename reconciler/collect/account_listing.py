"""The first part of a session: list the account, look up its messages in the ledger, recognise
those collected under other keys, and select what to attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic

from reconciler.collect.known_listing import KnownListing, look_up
from reconciler.collect.message_identity import ContentKeys
from reconciler.collect.reidentification import Reidentification
from reconciler.collect.selection import FolderWork, Selection, select
from reconciler.collect.session_connection import SessionConnection
from reconciler.collect.session_context import FetchProgress, S, SessionContext
from reconciler.collect.unchanged_check import (
    account_state,
    count_as_before,
    had_nothing_to_do,
    unchanged_state,
)
from reconciler.model.errors import FolderFailed, SourceError, SourceUnsuitable
from reconciler.model.messages import Folder, Listed, Listing
from reconciler.model.outcomes import Entry

_HEADER_LOSSES = 6
"""Connections that may be lost in one session while headers are fetched."""


class AccountListing(Generic[S]):
    """Lists the account of one session, and selects the messages to attempt."""

    def __init__(
        self,
        context: SessionContext[S],
        connection: SessionConnection[S],
        progress: FetchProgress,
    ) -> None:
        self._context = context
        self._connection = connection
        self._progress = progress
        self._header_losses = 0
        self.reidentification = Reidentification(
            context.task.collector, self._headers, context.ledger, context.now
        )

    def select(self) -> Sequence[FolderWork]:
        """Return the work in each folder. It is empty if the account is unchanged since a session
        that found nothing to do."""
        context = self._context
        context.first_name, context.epoch = context.ledger.identity(context.task.collector)
        if kept := unchanged_state(context):
            count_as_before(kept, context.tally)
            return ()
        listings = [
            self._look_up(listing)
            for listing in context.source.listings(writable=context.task.deletes)
        ]
        self.reidentification.recognise_by_headers(listings, context.check_stop)
        if not context.task.deletes:
            self.reidentification.watch_for_new_uidls(listings)
        chosen = select(
            listings,
            deletes=context.task.deletes,
            limit=context.task.limit,
            max_size=context.task.max_size,
            due=context.is_due,
        )
        self._count(chosen)
        if context.task.deletes:
            self._record_remaining(listings, chosen.folders)
        if had_nothing_to_do(chosen, context.tally):
            self._keep_account_state()
        context.report_progress()
        return [work.without_listing() for work in chosen.folders]

    def _look_up(self, listing: Listing) -> KnownListing:
        context = self._context
        known = look_up(context.ledger, context.task.collector, listing)
        context.tally.notes.extend(listing.notes)
        if known.alarming:
            context.note(
                f"{listing.folder.name}: the server has numbered its messages anew without saying "
                "so (same UIDVALIDITY); known ones are looked for by their content"
            )
        if not listing.keys_stable:
            self._use_content_keys(known.entries)
        return known

    def _use_content_keys(self, entries: Mapping[str, Entry]) -> None:
        mode = self._context.task.mode
        if mode != "all-delete":
            raise SourceUnsuitable(
                "the server has no UIDL, so collected messages cannot be told from new ones: "
                f"mode {mode} is impossible here, all-delete is not"
            )
        self._context.content_keys = ContentKeys(entries)

    def _count(self, chosen: Selection) -> None:
        tally = self._context.tally
        tally.listed, tally.skipped, tally.parked = chosen.listed, chosen.skipped, chosen.parked
        tally.left = chosen.left + chosen.attempts
        self._progress.only_attempt = chosen.attempts == 1

    def _record_remaining(
        self, listings: Sequence[KnownListing], works: Sequence[FolderWork]
    ) -> None:
        for known, work in zip(listings, works, strict=True):
            if known.folder.account.protocol == "pop3" and known.listing.keys_stable:
                going = {attempt.listed.key for attempt in (*work.attempts, *work.suspects)}
                self.reidentification.record_remaining(known, going)

    def _keep_account_state(self) -> None:
        found = account_state(self._context)
        if found is not None:
            self._context.ledger.keep_account_state(
                self._context.task.collector, self._context.epoch, found
            )

    def _headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterable[tuple[Listed, bytes | None]]:
        """Yield the header blocks as far as the server gives them. Where the connection is lost, it
        is tried once more; what is still missing then is done without."""
        missing = {listed.key: listed for listed in messages}
        for _ in range(2):
            if self._header_losses >= _HEADER_LOSSES:
                return
            self._connection.ensure_connected()
            try:
                with self._connection.command():
                    headers = self._context.source.headers(folder, list(missing.values()))
                    for listed, header in headers:
                        missing.pop(listed.key, None)
                        yield listed, header
            except SourceError as error:
                self._connection.note_loss(error)
                self._header_losses += 1
                if isinstance(error, FolderFailed):
                    return
                continue
            return
