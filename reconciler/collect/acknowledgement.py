"""Delete from the server what the ledger records as collected, and record the deletions.

Before each deletion the ledger says whether this process still holds its lease (hazard R6).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from reconciler.collect.selection import FolderWork
from reconciler.collect.session_connection import DELETE_LOSSES, SessionConnection
from reconciler.collect.session_context import S, SessionContext
from reconciler.model.errors import FolderFailed, SourceError
from reconciler.model.messages import Folder, Listed


class Acknowledgement(Generic[S]):
    """Deletes the collected messages of one session from the server."""

    def __init__(self, context: SessionContext[S], connection: SessionConnection[S]) -> None:
        self._context = context
        self._connection = connection

    def delete(self, work: FolderWork, messages: Sequence[Listed]) -> frozenset[str]:
        """Delete the messages, and return the keys of those that are gone, or will be when the
        connection ends in good order.

        If the connection is lost, the same is tried once more, and then by halves. Each half is
        settled before the next one is tried; the next session goes on from there.
        """
        gone: frozenset[str] = frozenset()
        parts, losses = [messages] if messages and not work.listing.read_only else [], 0
        while parts:
            part = parts.pop(0)
            self._context.ledger.hold()
            self._connection.ensure_connected()
            try:
                gone |= self._delete_part(work, part)
                if losses and parts:
                    self.settle(work)
            except FolderFailed:
                raise
            except SourceError as error:
                taken_back = self._connection.uncommitted
                self._connection.note_loss(error)
                losses += 1
                if losses == 1:
                    parts[:0] = [taken_back, part] if taken_back else [part]
                elif losses <= DELETE_LOSSES and len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                else:
                    self._note_refused([(listed.key, str(error)) for listed in part])
        return gone

    def settle(self, work: FolderWork) -> None:
        """End the connection if it has deletions to commit. By POP3 a message that ends the
        connection would take back what was deleted before."""
        if not self._connection.uncommitted or self._connection.lost is not None:
            return
        self._context.ledger.hold()
        self._connection.uncommitted, self._connection.ended = [], True
        deletion = self._context.source.finish()
        self._confirm(work.ledger_folder, deletion.confirmed)
        self._note_refused(deletion.refused)

    def close(self, work: FolderWork | None) -> None:
        """Log out; POP3 deletes now (RFC 1939, section 6). The connection is aborted if a reply is
        outstanding or it was lost. `work` is the folder that was worked on last."""
        connection, source = self._connection, self._context.source
        if connection.lost is not None or not connection.in_step:
            source.abort()
            return
        if connection.ended:
            return
        if self._context.task.deletes:
            self._context.ledger.hold()
        deletion = source.finish()
        if work is not None:
            self._confirm(work.ledger_folder, deletion.confirmed)
        self._note_refused(deletion.refused)

    def _delete_part(self, work: FolderWork, messages: Sequence[Listed]) -> frozenset[str]:
        with self._connection.command():
            deletion = self._context.source.delete(work.folder, messages)
        self._connection.uncommitted = [
            *self._connection.uncommitted,
            *(listed for listed in messages if listed.key in deletion.pending),
        ]
        self._confirm(work.ledger_folder, deletion.confirmed)
        self._note_refused(deletion.refused)
        return deletion.confirmed | deletion.pending

    def _confirm(self, folder: Folder, keys: frozenset[str]) -> None:
        if not keys:
            return
        context = self._context
        made = context.content_keys.keys if context.content_keys else {}
        recorded_as = [made.get(key, key) for key in keys]
        context.ledger.record_deleted(context.task.collector, folder, recorded_as, context.now())
        context.tally.deleted += len(keys)
        context.report_progress()

    def _note_refused(self, refused: Sequence[tuple[str, str]]) -> None:
        if refused:
            self._context.note(
                f"{len(refused)} messages stay on the server, their deletion was refused: "
                f"{refused[0][1]}"
            )
