"""The destination itself: the steps in their order, for batches."""

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
    linking,
    message_files,
    staging,
    stale_files,
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


class Maildir:
    """Maildirs below a path such as `/var/mail/{domain}/{local}`. Thread-safe.

    With `create`, a Maildir that is missing is made when mail for it comes: 0700, with the owner
    and group of the directory above it when run as root (`acting`). Without, its recipient is
    refused as unknown. Errors of the file system are DestinationUnavailable, whatever the step; but
    where mail is `shared` out to several mailboxes, one that may not be written to, or is over its
    quota, or whose owner changes it meanwhile, only has its own mail put off.
    """

    def __init__(
        self,
        path_template: str,
        *,
        create: bool,
        shared: bool = False,
        memory: MountMemory | None = None,
    ) -> None:
        """`memory`: of the file systems that mail went to before; without it only what this object
        has seen counts."""
        self._template = MailboxPathTemplate(path_template)
        self._mounted = MountProtection(memory, self._template)
        self._create = create
        self._shared = shared
        self._boxes = OpenMaildirs(self._mounted)
        self._ready: set[MailboxPath] = set()
        self._under_way: set[StagedMail] = set()

    @property
    def batch_size(self) -> int:
        return BATCH

    def exists(self, address: str) -> bool:
        """Whether there is a directory at exactly this address's place."""
        try:
            place = self._template.place(address)
            self._mounted.check(place)
            with directories.opened(place):
                return True
        except NotAMailbox:
            return False
        except OSError as error:
            raise explained(self._template.root, error) from error

    def deliverable(self, address: str) -> bool:  # noqa: ARG002  # as the interface has it
        """A file's name may be in any script."""
        return True

    def check(self) -> str:
        """Whether mail could be written below the fixed part of the path."""
        root = self._template.root
        try:
            self._mounted.check(MailboxPath(root, ()))
        except OSError as error:
            raise explained(root, error) from error
        place = next(above for above in (Path(root), *Path(root).parents) if above.exists())
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise DestinationUnavailable(
                f"{place}: Maildirs cannot be made there; mend its owner or permissions"
            )
        return f"Maildirs below {root}"

    def finish(self) -> None:
        """Give up what is still under way."""
        self.discard(list(self._under_way))
        self._boxes.close()

    def abort(self) -> None:
        """A disk cannot be broken off."""

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
            place = self._template.place(recipient)
            box = self._boxes.take(place, create=self._create)
            copy = StagedCopy(place, recipient, delivery_names.name(message, recipient), held=box)
            mail.copies.append(
                copy
            )  # before it has a file, so that an error on the way discards that
            staging.stage(box, copy, original, more=more)
            if not self._boxes.keeps(box):
                self._let_go([copy])
        except NotAMailbox as error:
            mail.copies.append(Refused(recipient, str(error.strerror), unknown=error.missing))
        except OSError as error:
            if not self._is_of_one(error):
                raise explained(place, error) from error
            self._let_go(mail.copies[before:])
            mail.copies[before:] = [Deferred(recipient, str(explained(place, error)))]

    def _is_of_one(self, error: OSError) -> bool:
        return self._shared and is_of_one(error, self._template.root)

    def commit(
        self, staged: Sequence[StagedMail]
    ) -> Iterator[tuple[StagedMail, tuple[DeliveryOutcome, ...]]]:
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
        copies = [copy for mail in staged for copy in mail.placeable()]
        try:
            self._remove_temporary(copies)
        finally:
            self._release(staged)

    def discard(self, staged: Sequence[StagedMail]) -> None:
        """What is in `new/` stays, and so does what it is recognised by. What cannot be removed is
        replaced by the next attempt, or is stale one day: why it is discarded is what people are to
        hear of, so this raises nothing."""
        copies = [copy for mail in staged for copy in mail.placeable()]
        for copy in copies:
            if copy.written is not None:
                with suppress(OSError):  # whether it could be written is of no interest now
                    message_files.close(copy.written)
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
        """The files, then their names in `tmp/`, which must not be lost before those in `new/`."""
        waiting = [(copy, copy.written) for copy in copies if copy.written is not None]
        for copy in copies:
            copy.written = None
        for (copy, _), error in zip(
            waiting, message_files.sync([written for _, written in waiting]), strict=True
        ):
            if error is not None:
                self._put_off(copy, error)
        for group, error in self._at_places(self._sync_tmp, copies):
            self._put_all_off(group, error)

    def _at_places(
        self, act: Callable[[MailboxPath], None], copies: Iterable[StagedCopy]
    ) -> Iterator[tuple[list[StagedCopy], OSError]]:
        """Call `act` for each place of theirs, side by side; where it failed, the copies that are
        to go there."""
        groups: dict[MailboxPath, list[StagedCopy]] = {}
        for copy in copies:
            groups.setdefault(copy.place, []).append(copy)
        for group, error in zip(
            groups.values(),
            message_files.side_by_side(partial(_met, act), list(groups)),
            strict=True,
        ):
            if error is not None:
                yield group, error

    def _sync_tmp(self, place: MailboxPath) -> None:
        with self._boxes.opened(place) as box:
            if place not in self._ready:
                directories.sync_above(
                    place
                )  # an earlier run may have died between making and syncing it
                with acting_as(box.owner):
                    stale_files.clean(box.tmp)
                self._ready.add(place)
            os.fsync(box.tmp)

    def _place(self, copies: Sequence[StagedCopy]) -> None:
        for place, group in groupby(copies, attrgetter("place")):
            waiting = [copy for copy in group if not copy.put_off]
            try:
                with self._boxes.opened(place) as box:
                    self._boxes.check(box)
                    with acting_as(box.receiver):
                        for copy in waiting:
                            self._place_one(box, copy)
            except OSError as error:
                self._put_all_off(waiting, error)

    def _place_one(self, box: OpenMaildir, copy: StagedCopy) -> None:
        if copy.adopted:
            copy.placed = True
            return
        try:
            linking.place(box, copy)
        except OSError as error:
            self._put_off(copy, error)

    def _put_all_off(self, copies: Iterable[StagedCopy], error: OSError) -> None:
        for copy in copies:
            if not copy.placed:
                self._put_off(copy, error)

    def _put_off(self, copy: StagedCopy, error: OSError) -> None:
        """Raises DestinationUnavailable where it is not this mailbox's trouble alone."""
        if not self._is_of_one(error):
            raise explained(copy.place, error) from error
        copy.put_off = str(explained(copy.place, error))

    def _sync_new(self, copies: Sequence[StagedCopy]) -> None:
        """Where this fails, nothing that was to be made durable stays in `new/`."""
        placed = [copy for copy in copies if copy.placed]
        adopted = [copy for copy in placed if copy.adopted]
        try:
            for group, error in (
                *self._at_places(self._sync_place, placed),
                *self._at_places(_sync_cur, adopted),
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
                with (
                    suppress(OSError),
                    self._boxes.opened(copy.place) as box,
                ):  # the disk fails already
                    linking.take_back(box, copy)

    def _sync_place(self, place: MailboxPath) -> None:
        with self._boxes.opened(place) as box:
            os.fsync(box.new)

    def _remove_temporary(self, copies: Sequence[StagedCopy]) -> None:
        for place, group in groupby(copies, attrgetter("place")):
            try:
                with self._boxes.opened(place) as box, acting_as(box.owner):
                    for copy in group:
                        staging.remove(box.tmp, copy.name)
            except OSError as error:
                if not self._is_of_one(
                    error
                ):  # else what is left is stale one day, or went with its directory
                    raise explained(place, error) from error

    def _release(self, staged: Iterable[StagedMail]) -> None:
        for mail in staged:
            self._under_way.discard(mail)
            self._let_go(mail.copies)

    def _let_go(self, copies: Iterable[StagedCopy | Deferred | Refused]) -> None:
        for copy in copies:
            if isinstance(copy, StagedCopy) and copy.held is not None:
                held, copy.held = copy.held, None
                self._boxes.release(held)


def _met(act: Callable[[MailboxPath], None], place: MailboxPath) -> OSError | None:
    try:
        act(place)
    except OSError as error:
        return error
    return None


def _sync_cur(place: MailboxPath) -> None:
    """A mail program may have moved there what is adopted."""
    with directories.opened(place) as box, directories.inside(box, "cur") as cur:
        os.fsync(cur.descriptor)


def _outcome(copy: StagedCopy | Deferred | Refused) -> DeliveryOutcome:
    if not isinstance(copy, StagedCopy):
        return copy
    return (
        Deferred(copy.recipient, copy.put_off)
        if copy.put_off
        else Delivered(copy.recipient, copy.name)
    )
