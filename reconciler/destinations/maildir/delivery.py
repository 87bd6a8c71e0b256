"""Maildirs as a destination: the steps of a delivery in their order, for batches.

`stage`, `commit` and `settle`, or `discard` instead. The package's docstring says what holds after
each step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from reconciler.destinations.maildir import (
    delivery_names,
    directories,
    file_sync,
    linking,
    message_files,
    staging,
)
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.filesystem_errors import NotAMailbox, explained, is_of_one
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.destinations.maildir.mount_protection import MountProtection
from reconciler.destinations.maildir.open_maildirs import OpenMaildir, OpenMaildirs
from reconciler.destinations.maildir.staging import Original, StagedCopy, StagedMail
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import MountMemory
from reconciler.model.messages import DeliveryId
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused

BATCH = 100
"""Messages that are committed together."""


class Maildir:
    """Maildirs below a path such as `/var/mail/{domain}/{local}`. Thread-safe.

    With `create`, a missing Maildir is made when mail for it comes: mode 0700, and, when run as
    root, with the owner and group of the directory above it (`acting_as_owner`). Without, its
    recipient is refused as unknown. An error of the file system at any step is
    DestinationUnavailable. But where mail goes to several mailboxes (`shared`), an error that the
    owner of one can cause (permissions, quota, moved directories) only puts off that one's mail.
    """

    def __init__(
        self,
        path_template: str,
        *,
        create: bool,
        shared: bool = False,
        memory: MountMemory | None = None,
    ) -> None:
        """`memory` knows the file systems that mail went to before. Without it only those count
        that this object has seen."""
        self._template = MailboxPathTemplate(path_template)
        self._mounts = MountProtection(memory, self._template)
        self._create = create
        self._shared = shared
        self._maildirs = OpenMaildirs(self._mounts)
        self._ready: set[MailboxPath] = set()
        self._under_way: set[StagedMail] = set()

    @property
    def batch_size(self) -> int:
        return BATCH

    def exists(self, address: str) -> bool:
        """Return whether there is a directory at exactly this address's path."""
        try:
            mailbox = self._template.mailbox(address)
            self._mounts.check(mailbox)
            with directories.opened(mailbox):
                return True
        except NotAMailbox:
            return False
        except OSError as error:
            raise explained(self._template.root, error) from error

    def deliverable(self, address: str) -> bool:  # noqa: ARG002  # as the interface has it
        """Return True: a file's name may be in any script."""
        return True

    def check(self) -> str:
        """Return a sentence for people where mail could be written below the fixed part of the path."""
        root = self._template.root
        try:
            self._mounts.check(MailboxPath(root, ()))
        except OSError as error:
            raise explained(root, error) from error
        existing = next(above for above in (Path(root), *Path(root).parents) if above.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise DestinationUnavailable(
                f"{existing}: Maildirs cannot be made there; fix its owner or permissions"
            )
        return f"Maildirs below {root}"

    def finish(self) -> None:
        """Give up what is still under way."""
        self.discard(list(self._under_way))
        self._maildirs.close()

    def abort(self) -> None:
        """Do nothing: writing to a disk cannot be interrupted."""

    def stage(
        self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]
    ) -> StagedMail:
        mail = StagedMail()
        self._under_way.add(mail)
        original = Original(content)
        try:
            for number, recipient in enumerate(recipients, 1):
                self._stage(mail, message, original, recipient, more=number < len(recipients))
            if not mail.placeable():
                original.drain()
        except BaseException:
            self.discard([mail])
            raise
        finally:
            original.close()
        mail.size = original.size
        return mail

    def _stage(
        self,
        mail: StagedMail,
        message: DeliveryId,
        original: Original,
        recipient: str,
        *,
        more: bool,
    ) -> None:
        if original.lost:
            mail.copies.append(
                Deferred(recipient, "another mailbox took only a part of the message; tried again")
            )
            return
        before = len(mail.copies)
        try:
            mailbox = self._template.mailbox(recipient)
            maildir = self._maildirs.take(mailbox, create=self._create)
            name = delivery_names.name(message, recipient)
            copy = StagedCopy(mailbox, recipient, name, maildir=maildir)
            # before it has a file, so that `discard` finds that after an error
            mail.copies.append(copy)
            staging.stage(maildir, copy, original, more=more)
            if not self._maildirs.keeps(maildir):
                self._let_go([copy])
        except NotAMailbox as error:
            mail.copies.append(Refused(recipient, str(error.strerror), unknown=error.missing))
        except OSError as error:
            if not self._is_of_one(error):
                raise explained(mailbox, error) from error
            self._let_go(mail.copies[before:])
            mail.copies[before:] = [Deferred(recipient, str(explained(mailbox, error)))]

    def _is_of_one(self, error: OSError) -> bool:
        return self._shared and is_of_one(error, self._template.root)

    def commit(
        self, staged: Sequence[StagedMail]
    ) -> Iterator[tuple[StagedMail, tuple[DeliveryOutcome, ...]]]:
        """Deliver a batch; yield each message with its recipients' outcomes, in order.

        Raises DestinationUnavailable after those that were delivered in spite of it. They come
        first, for they have to be recorded.
        """
        copies = [copy for mail in staged for copy in mail.placeable()]
        failure = None
        try:
            self._make_durable(copies)
            self._place(copies)
        except DestinationUnavailable as error:
            failure = error
        self._sync_new(copies)
        for mail in staged:
            if failure and not all(copy.placed or copy.put_off for copy in mail.placeable()):
                break
            yield mail, tuple(_outcome(copy) for copy in mail.copies)
        if failure:
            self.discard(staged)
            raise failure

    def settle(self, staged: Sequence[StagedMail]) -> None:
        """Remove what the ledger's record of these messages has made superfluous: their files in
        `tmp/`."""
        copies = [copy for mail in staged for copy in mail.placeable()]
        try:
            self._remove_temporary(copies)
        finally:
            self._release(staged)

    def discard(self, staged: Sequence[StagedMail]) -> None:
        """Give up what is not in `new/` yet; never raise.

        What is in `new/` stays, and so does the file in `tmp/` by which the next attempt recognises
        it. A file that cannot be removed is replaced by the next attempt, or removed when it is
        stale. The error that led here is the one to report, so errors here are ignored.
        """
        copies = [copy for mail in staged for copy in mail.placeable()]
        for copy in copies:
            if copy.written is not None:
                with suppress(OSError):
                    file_sync.close(copy.written)
                copy.written = None
        try:
            with suppress(DestinationUnavailable):
                self._remove_temporary(
                    [copy for copy in copies if not (copy.placed or copy.adopted)]
                )
        finally:
            self._release(staged)

    # -- steps of a commit

    def _make_durable(self, copies: Sequence[StagedCopy]) -> None:
        """Sync the files, then `tmp/`: a power cut must not take a name in `tmp/` and leave the one
        in `new/`."""
        waiting = [(copy, copy.written) for copy in copies if copy.written is not None]
        for copy in copies:
            copy.written = None
        errors = file_sync.sync([written for _, written in waiting])
        for (copy, _), error in zip(waiting, errors, strict=True):
            if error is not None:
                self._put_off(copy, error)
        for group, error in self._failed_mailboxes(self._sync_tmp, copies):
            self._put_all_off(group, error)

    def _failed_mailboxes(
        self, act: Callable[[MailboxPath], None], copies: Iterable[StagedCopy]
    ) -> Iterator[tuple[list[StagedCopy], OSError]]:
        """Call `act` for each mailbox of these copies, several at a time. Yield the copies for each
        mailbox where it failed, and the error."""
        groups: dict[MailboxPath, list[StagedCopy]] = {}
        for copy in copies:
            groups.setdefault(copy.mailbox, []).append(copy)
        errors = file_sync.side_by_side(partial(_met, act), list(groups))
        for group, error in zip(groups.values(), errors, strict=True):
            if error is not None:
                yield group, error

    def _sync_tmp(self, mailbox: MailboxPath) -> None:
        with self._maildirs.opened(mailbox) as maildir:
            if mailbox not in self._ready:
                # an earlier run may have died between making and syncing it
                directories.sync_above(mailbox)
                with acting_as(maildir.owner):
                    message_files.remove_stale(maildir.tmp)
                self._ready.add(mailbox)
            os.fsync(maildir.tmp)

    def _place(self, copies: Sequence[StagedCopy]) -> None:
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

    def _place_one(self, maildir: OpenMaildir, copy: StagedCopy) -> None:
        if copy.adopted:
            copy.placed = True
            return
        try:
            linking.place(maildir, copy)
        except OSError as error:
            self._put_off(copy, error)

    def _put_all_off(self, copies: Iterable[StagedCopy], error: OSError) -> None:
        for copy in copies:
            if not copy.placed:
                self._put_off(copy, error)

    def _put_off(self, copy: StagedCopy, error: OSError) -> None:
        """Put it off, or raise DestinationUnavailable where the error concerns more than this
        mailbox."""
        if not self._is_of_one(error):
            raise explained(copy.mailbox, error) from error
        copy.put_off = str(explained(copy.mailbox, error))

    def _sync_new(self, copies: Sequence[StagedCopy]) -> None:
        """Sync `new/`. Where that fails, take the copies out of it again: nothing may stay there that
        is not reported.

        An adopted copy may have been moved to `cur/` by a mail program, so that is synced too.
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
            self.discard([StagedMail(copies=list(copies))])
            raise

    def _take_back(self, copies: Sequence[StagedCopy]) -> None:
        for copy in copies:
            if copy.placed and not copy.adopted:
                # The disk fails already: its next error says nothing new.
                with suppress(OSError), self._maildirs.opened(copy.mailbox) as maildir:
                    linking.take_back(maildir, copy)

    def _sync_new_of(self, mailbox: MailboxPath) -> None:
        with self._maildirs.opened(mailbox) as maildir:
            os.fsync(maildir.new)

    def _remove_temporary(self, copies: Sequence[StagedCopy]) -> None:
        for mailbox, group in groupby(copies, attrgetter("mailbox")):
            try:
                with self._maildirs.opened(mailbox) as maildir, acting_as(maildir.owner):
                    for copy in group:
                        message_files.remove(maildir.tmp, copy.name)
            except OSError as error:
                # What is left in one mailbox is removed when it is stale, or went with its directory.
                if not self._is_of_one(error):
                    raise explained(mailbox, error) from error

    def _release(self, staged: Iterable[StagedMail]) -> None:
        for mail in staged:
            self._under_way.discard(mail)
            self._let_go(mail.copies)

    def _let_go(self, copies: Iterable[StagedCopy | Deferred | Refused]) -> None:
        for copy in copies:
            if isinstance(copy, StagedCopy) and copy.maildir is not None:
                maildir, copy.maildir = copy.maildir, None
                self._maildirs.release(maildir)


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


def _outcome(copy: StagedCopy | Deferred | Refused) -> DeliveryOutcome:
    if not isinstance(copy, StagedCopy):
        return copy
    return (
        Deferred(copy.recipient, copy.put_off)
        if copy.put_off
        else Delivered(copy.recipient, copy.name)
    )
