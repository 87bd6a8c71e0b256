"""Mail goes to the file systems that it went to before. Where a disk is not mounted, what is put
below its mount point would be hidden by the next mount, and is gone from the server by then (hazard
D3).

Remembered is, for each mount point below which mail was delivered, what was mounted there. A place
is as remembered where the deepest of these points that is above it is a mount point still, of the
same file system; it does not matter how that is mounted (a bind mount of the same directory, in a
container, in a service's own namespace). Where it differs, the Maildirs may have been moved on
purpose: then the mail that was delivered last is still in them. Else it is held until it is as it
was, or somebody says that it is meant.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from reconciler import disk
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.disk import Mount, deepest, mount_of
from reconciler.log import log
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import MountMemory

_WITNESSES = 200
_LOOKED_INTO = 10
"""Maildirs, at most, to find one of so many messages that were delivered last."""
CONFIRM = "mailcollector collect NAME --accept-maildirs"


class MountsInMemory:
    """Remembers as long as it lives."""

    def __init__(self) -> None:
        self._mounts: dict[str, Mount] = {}

    def mounts(self) -> dict[str, Mount]:
        return self._mounts

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        for point in instead:
            self._mounts.pop(point, None)
        self._mounts[mount.point] = mount

    def accepted(self) -> bool:
        return False

    # as the interface has it
    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        return ()


class _MountCheck(Struct, frozen=True):
    """What was found at a place, after how many changes of the table of mounts."""

    changes: int
    found: Mount | None
    instead: Sequence[str] = ()
    """Points that are to be forgotten; `found` is to be remembered then."""
    news: bool = False


class MountProtection:
    """Of one destination, for one session."""

    def __init__(self, memory: MountMemory | None, template: MailboxPathTemplate) -> None:
        """Without a memory what this object has seen counts."""
        self._lasting = memory is not None
        self._memory: MountMemory = memory or MountsInMemory()
        self._template = template
        self._looks: dict[MailboxPath, _MountCheck] = {}
        self._known: dict[str, Mount] | None = None

    def check(self, place: MailboxPath) -> None:
        """DestinationUnavailable where the mount of the whole root is not what it was; OSError
        where only one below it is not, which concerns mailboxes there."""
        changes = disk.mounts().changes()
        look = self._looks.get(place)
        if look is None or look.changes != changes:
            self._looks[place] = self._look(place, changes)

    def remember(self, place: MailboxPath) -> None:
        """Mail is going to be delivered there, which was checked. Raises what the memory raises."""
        look = self._looks[place]
        if look.news and look.found is not None:
            if self._lasting and not self._remembered():
                self._tell_of_a_new_ledger(place)
            self._memory.remember_mount(look.found, look.instead)
            self._known = None
            self._looks[place] = replace(look, news=False)

    def _tell_of_a_new_ledger(self, place: MailboxPath) -> None:
        """It may be new because the state's own disk is not mounted: then everything is collected
        again."""
        from reconciler.destinations.maildir import maildir_audit  # noqa: PLC0415  # hardly ever needed

        if self._memory.delivered_last(1):
            return
        found = maildir_audit.Maildirs.survey(place)
        if found and (found.untouched or found.seen):
            log.warning(
                "the ledger is new, but there is mail of mailcollector's already: it may come again. If the "
                "state directory is on a disk that is not mounted, stop, and mount it",
                maildir=str(place),
                messages=len(found.untouched) + len(found.seen),
            )

    def _look(self, place: MailboxPath, changes: int) -> _MountCheck:
        path = _real(place)
        found = mount_of(path, changes)
        if found is None:
            return _MountCheck(changes, None)
        known = self._remembered()
        point = deepest(known, path)
        if point is None or len(point) < len(found.point):
            if self._lasting:
                self._expect_nothing_else(place, path, found)
            return _MountCheck(changes, found, news=True)
        expected = known[point]
        if expected.is_the_same(found, path):
            return _MountCheck(changes, found)
        if not self._memory.accepted():
            witness = self._witness(point)
            if witness is None:
                _hold(place, expected, found)
            log.info(
                "the Maildirs are on another file system than before, with the mail that was delivered last",
                mail=witness,
                was=f"{expected.point} ({expected})",
                now=f"{found.point} ({found})",
            )
        return _MountCheck(changes, found, [point], news=True)

    def _remembered(self) -> dict[str, Mount]:
        if self._known is None:
            self._known = dict(self._memory.mounts())
        return self._known

    def _expect_nothing_else(self, place: MailboxPath, path: str, found: Mount) -> None:
        """Nothing is remembered: the system's own table of mounts may know more."""
        missing = disk.unmounted(path)
        if missing is not None and len(missing) > len(found.point) and not self._memory.accepted():
            raise DestinationUnavailable(
                f"cannot deliver to {place}: /etc/fstab has a file system for {missing}, and none is mounted "
                f"there; mount it. If mail is to go there all the same: {CONFIRM}"
            )

    def _witness(self, point: str) -> str | None:
        """A message that was delivered to the file system at `point` lately, and is there."""
        from reconciler.destinations.maildir import maildir_audit  # noqa: PLC0415  # hardly ever needed

        names: dict[MailboxPath, set[str]] = {}
        maildirs = maildir_audit.Maildirs(self._template)
        for recipient, name in self._memory.delivered_last(_WITNESSES):
            place = maildirs.place(recipient)
            if place and deepest(self._remembered(), _real(place)) == point:
                names.setdefault(place, set()).add(name)
        for place, wanted in islice(names.items(), _LOOKED_INTO):
            try:
                found = maildirs.survey(place)
            except DestinationUnavailable:
                continue
            for name in wanted:
                if found and (name in found.untouched or name in found.seen):
                    return f"{place}: {name}"
        return None


def _hold(place: MailboxPath, expected: Mount, found: Mount) -> NoReturn:
    here = (
        f"{expected.point} is not mounted"
        if expected.point != found.point
        else f"another file system is mounted at {expected.point} ({found}), without the mail that was delivered last"
    )
    reason = (
        f"{here}; mail went to the one that was there before ({expected}): mount that. If the Maildirs are meant "
        f"to be where they are now: {CONFIRM}"
    )
    if len(expected.point) > len(os.path.realpath(place.root)):
        raise OSError(errno.ESTALE, reason)
    raise DestinationUnavailable(f"cannot deliver to {place}: {reason}")


def _real(place: MailboxPath) -> str:
    """Links in the fixed part only: others are not followed."""
    # a Maildir's name is text here
    return os.path.join(os.path.realpath(place.root), *place.parts)  # noqa: PTH118
