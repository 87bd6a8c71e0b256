"""Maildirs as a destination. A batch goes through `stage`, `commit` and `settle`, or ends with
`discard`. The package's docstring says what holds after each step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from reconciler.destinations.maildir import (
    delivery_names,
    directories,
    file_sync,
    staging,
)
from reconciler.destinations.maildir.commit_steps import CommitSteps
from reconciler.destinations.maildir.filesystem_errors import (
    NotAMailbox,
    concerns_one_mailbox,
    explain,
)
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.destinations.maildir.mount_protection import MountProtection
from reconciler.destinations.maildir.open_maildirs import OpenMaildirs
from reconciler.destinations.maildir.staging import SharedContent, StagedCopy, StagedMail
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import MountMemory
from reconciler.model.messages import DeliveryId
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused

BATCH = 100
"""Messages that are committed together."""


class Maildir:
    """Maildirs below a path such as `/var/mail/{domain}/{local}`. Thread-safe.

    An error of the file system at any step is DestinationUnavailable.
    """

    def __init__(
        self,
        path_template: str,
        *,
        create: bool,
        shared: bool = False,
        own_root: bool = False,
        memory: MountMemory | None = None,
    ) -> None:
        """Take mail for the Maildirs at `path_template`.

        With `create`, a missing Maildir is made when mail for it comes, with mode 0700. Run as
        root, it gets the owner and group of the directory above it (`acting_as_owner`). Without
        `create`, its recipient is refused as unknown.

        `shared`: mail goes to several mailboxes. Then the errors that one mailbox's owner can cause
        (permissions, quota, moved directories) defer only the mail for that mailbox.

        `own_root`: the fixed part of the path is no mount of somebody else. While it is missing,
        there is no mailbox yet.

        `memory` knows the file systems that mail went to before. Without it, only those count that
        this object has seen.
        """
        self._template = MailboxPathTemplate(path_template)
        self._mounts = MountProtection(memory, self._template)
        self._create = create
        self._shared = shared
        self._own_root = own_root
        self._maildirs = OpenMaildirs(self._mounts)
        self._steps = CommitSteps(self._maildirs, self._concerns_one_mailbox)
        self._under_way: set[StagedMail] = set()

    @property
    def batch_size(self) -> int:
        """Return how many messages may be committed together."""
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
            if self._own_root and isinstance(error, FileNotFoundError):
                return False
            raise explain(self._template.root, error) from error

    def deliverable(self, address: str) -> bool:  # noqa: ARG002  # as the interface has it
        """Return True: any address fits into a file's name."""
        return True

    def check(self) -> str:
        """Check that mail could be written below the fixed part of the path; return a sentence for
        people. Raises DestinationUnavailable."""
        root = self._template.root
        try:
            self._mounts.check(MailboxPath(root, ()))
        except OSError as error:
            raise explain(root, error) from error
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
        """Write the message into `tmp/` of each recipient's Maildir. Raises DestinationUnavailable
        and what `content` does; then nothing is left of it."""
        mail = StagedMail()
        self._under_way.add(mail)
        original = SharedContent(content)
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
        original: SharedContent,
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
            name = delivery_names.first_name(message, recipient)
            copy = StagedCopy(mailbox, recipient, name, maildir=maildir)
            # Appended before it has a file, so that `discard` finds the file after an error.
            mail.copies.append(copy)
            staging.stage(maildir, copy, original, more=more)
            if not self._maildirs.keeps(maildir):
                self._let_go([copy])
        except NotAMailbox as error:
            mail.copies.append(Refused(recipient, str(error.strerror), unknown=error.missing))
        except OSError as error:
            if not self._concerns_one_mailbox(error):
                raise explain(mailbox, error) from error
            self._let_go(mail.copies[before:])
            mail.copies[before:] = [Deferred(recipient, str(explain(mailbox, error)))]

    def _concerns_one_mailbox(self, error: OSError) -> bool:
        return self._shared and concerns_one_mailbox(error, self._template.root)

    def commit(
        self, staged: Sequence[StagedMail]
    ) -> Iterator[tuple[StagedMail, tuple[DeliveryOutcome, ...]]]:
        """Deliver a batch; yield each message with its recipients' outcomes, in order.

        Where the file system fails, the messages that were delivered all the same come first, for
        they have to be recorded. Then DestinationUnavailable is raised.
        """
        copies = [copy for mail in staged for copy in mail.placeable()]
        failure = None
        try:
            self._steps.make_durable(copies)
            self._steps.place(copies)
        except DestinationUnavailable as error:
            failure = error
        try:
            self._steps.sync_new(copies)
        except DestinationUnavailable:
            self.discard(staged)
            raise
        for mail in staged:
            if failure and not all(copy.placed or copy.put_off for copy in mail.placeable()):
                break
            yield mail, tuple(_outcome(copy) for copy in mail.copies)
        if failure:
            self.discard(staged)
            raise failure

    def settle(self, staged: Sequence[StagedMail]) -> None:
        """Remove the files in `tmp/` of messages that were recorded."""
        copies = [copy for mail in staged for copy in mail.placeable()]
        try:
            self._steps.remove_temporary(copies)
        finally:
            self._release(staged)

    def discard(self, staged: Sequence[StagedMail]) -> None:
        """Give up the copies that are not in `new/` yet.

        The others stay, and so do their files in `tmp/`, by which the next attempt recognises
        them. A file that cannot be removed is replaced by the next attempt, or removed when it is
        stale. Errors are ignored here: the error to report is the one that led here.
        """
        copies = [copy for mail in staged for copy in mail.placeable()]
        for copy in copies:
            if copy.written is not None:
                with suppress(OSError):
                    file_sync.close(copy.written)
                copy.written = None
        try:
            with suppress(DestinationUnavailable):
                self._steps.remove_temporary(
                    [copy for copy in copies if not (copy.placed or copy.adopted)]
                )
        finally:
            self._release(staged)

    def _release(self, staged: Iterable[StagedMail]) -> None:
        for mail in staged:
            self._under_way.discard(mail)
            self._let_go(mail.copies)

    def _let_go(self, copies: Iterable[StagedCopy | Deferred | Refused]) -> None:
        for copy in copies:
            if isinstance(copy, StagedCopy) and copy.maildir is not None:
                maildir, copy.maildir = copy.maildir, None
                self._maildirs.release(maildir)


def _outcome(copy: StagedCopy | Deferred | Refused) -> DeliveryOutcome:
    if not isinstance(copy, StagedCopy):
        return copy
    return (
        Deferred(copy.recipient, copy.put_off)
        if copy.put_off
        else Delivered(copy.recipient, copy.name)
    )
