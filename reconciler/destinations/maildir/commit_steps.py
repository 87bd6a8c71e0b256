"""The steps of a commit, for the copies of a batch: sync the files, link them, sync `new/`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import attrgetter

from reconciler.destinations.maildir import directories, file_sync, linking, message_files
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.filesystem_errors import explain
from reconciler.destinations.maildir.mailbox_paths import MailboxPath
from reconciler.destinations.maildir.open_maildirs import OpenMaildir, OpenMaildirs
from reconciler.destinations.maildir.staging import StagedCopy
from reconciler.model.errors import DestinationUnavailable


class CommitSteps:
    """The steps of a commit in the Maildirs of one destination.

    Each step raises DestinationUnavailable for errors of the file system. But an error for which
    `concerns_one_mailbox` returns True only puts off the copies for that mailbox
    (`StagedCopy.put_off`).
    """

    def __init__(
        self, maildirs: OpenMaildirs, concerns_one_mailbox: Callable[[OSError], bool]
    ) -> None:
        self._maildirs = maildirs
        self._concerns_one_mailbox = concerns_one_mailbox
        self._ready: set[MailboxPath] = set()
        """Mailboxes whose path is durable, and whose `tmp/` was rid of stale files."""

    def make_durable(self, copies: Sequence[StagedCopy]) -> None:
        """Sync the files, then `tmp/`. Otherwise a power cut could take a name in `tmp/` and leave
        the one in `new/`."""
        waiting = [(copy, copy.written) for copy in copies if copy.written is not None]
        for copy in copies:
            copy.written = None
        errors = file_sync.sync([written for _, written in waiting])
        for (copy, _), error in zip(waiting, errors, strict=True):
            if error is not None:
                self._put_off(copy, error)
        for group, error in self._failed_mailboxes(self._sync_tmp, copies):
            self._put_all_off(group, error)

    def place(self, copies: Sequence[StagedCopy]) -> None:
        """Link the copies into `new/`, mailbox by mailbox."""
        for mailbox, group in groupby(copies, attrgetter("mailbox")):
            waiting = [copy for copy in group if not copy.put_off]
            try:
                with self._maildirs.opened(mailbox) as maildir:
                    self._maildirs.check(maildir)
                    with acting_as(maildir.receiver):
                        for copy in waiting:
                            self._place_one(maildir, copy)
            except OSError as error:
                self._put_all_off(waiting, error)

    def sync_new(self, copies: Sequence[StagedCopy]) -> None:
        """Sync `new/`. Where that fails, take the copies out of it again: nothing may stay there
        that is not reported.

        A mail program may have moved an adopted copy to `cur/`, so that is synced too.
        """
        placed = [copy for copy in copies if copy.placed]
        adopted = [copy for copy in placed if copy.adopted]
        try:
            for group, error in (
                *self._failed_mailboxes(self._sync_new_of, placed),
                *self._failed_mailboxes(_sync_cur, adopted),
            ):
                self._take_back(group)
                for copy in group:
                    self._put_off(copy, error)
        except DestinationUnavailable:
            self._take_back(placed)
            raise

    def remove_temporary(self, copies: Sequence[StagedCopy]) -> None:
        """Remove the copies' files from `tmp/`."""
        for mailbox, group in groupby(copies, attrgetter("mailbox")):
            try:
                with self._maildirs.opened(mailbox) as maildir, acting_as(maildir.owner):
                    for copy in group:
                        message_files.remove(maildir.tmp, copy.name)
            except OSError as error:
                # Files left in one mailbox are removed when they are stale.
                if not self._concerns_one_mailbox(error):
                    raise explain(mailbox, error) from error

    def _sync_tmp(self, mailbox: MailboxPath) -> None:
        with self._maildirs.opened(mailbox) as maildir:
            if mailbox not in self._ready:
                # An earlier run may have ended between making and syncing it.
                directories.sync_above(mailbox)
                with acting_as(maildir.owner):
                    message_files.remove_stale(maildir.tmp)
                self._ready.add(mailbox)
            os.fsync(maildir.tmp)

    def _place_one(self, maildir: OpenMaildir, copy: StagedCopy) -> None:
        if copy.adopted:
            copy.placed = True
            return
        try:
            linking.link(maildir, copy)
        except OSError as error:
            self._put_off(copy, error)

    def _sync_new_of(self, mailbox: MailboxPath) -> None:
        with self._maildirs.opened(mailbox) as maildir:
            os.fsync(maildir.new)

    def _take_back(self, copies: Sequence[StagedCopy]) -> None:
        for copy in copies:
            if copy.placed and not copy.adopted:
                # The disk fails already, so a further error is ignored.
                with suppress(OSError), self._maildirs.opened(copy.mailbox) as maildir:
                    linking.take_back(maildir, copy)

    def _failed_mailboxes(
        self, act: Callable[[MailboxPath], None], copies: Iterable[StagedCopy]
    ) -> Iterator[tuple[list[StagedCopy], OSError]]:
        """Call `act` for each mailbox of these copies, several at a time. Yield the copies for each
        mailbox where it failed, and the error."""
        groups: dict[MailboxPath, list[StagedCopy]] = {}
        for copy in copies:
            groups.setdefault(copy.mailbox, []).append(copy)
        errors = file_sync.run_in_parallel(partial(_met, act), list(groups))
        for group, error in zip(groups.values(), errors, strict=True):
            if error is not None:
                yield group, error

    def _put_all_off(self, copies: Iterable[StagedCopy], error: OSError) -> None:
        for copy in copies:
            if not copy.placed:
                self._put_off(copy, error)

    def _put_off(self, copy: StagedCopy, error: OSError) -> None:
        """Put the copy off. Raise DestinationUnavailable where the error concerns more than this
        mailbox."""
        if not self._concerns_one_mailbox(error):
            raise explain(copy.mailbox, error) from error
        copy.put_off = str(explain(copy.mailbox, error))


def _met(act: Callable[[MailboxPath], None], mailbox: MailboxPath) -> OSError | None:
    """Call it, and return its error instead of raising it."""
    try:
        act(mailbox)
    except OSError as error:
        return error
    return None


def _sync_cur(mailbox: MailboxPath) -> None:
    with directories.opened(mailbox) as maildir, directories.inside(maildir, "cur") as cur:
        os.fsync(cur.descriptor)
