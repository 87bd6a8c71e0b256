"""Deliver only to file systems that mail went to before.

Where a disk is not mounted, mail would go below its mount point. The next mount would hide it, and
by then it is gone from the server (hazard D3).

The ledger remembers each mount point that mail went through, and what was mounted there. For a
mailbox, the deepest of these points above it counts. The same file system must still be mounted
there. The kind of mount does not matter: a bind mount of the same directory is enough, in a
container or in the namespace of a service.

Where the file system differs, somebody may have moved the Maildirs on purpose. Then the mail that
was delivered last is still in them, and the new file system is remembered. Else mail is held until
the old one is back, or until a person confirms the change (`CONFIRM`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.log import log
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import MountMemory
from reconciler.mounts import Mount, deepest, missing_mount, mount_changes, mount_of

_WITNESSES = 200
"""Messages delivered last, of which one has to be found in the Maildirs."""
_LOOKED_INTO = 10
"""Maildirs in which they are looked for, at most."""
CONFIRM = "mailcollector collect NAME --accept-maildirs"


class MountsInMemory:
    """Implements `model.interfaces.MountMemory` without a ledger, for as long as the object
    lives."""

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

    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:  # noqa: ARG002  # interface
        return ()


class _MountCheck(Struct, frozen=True):
    """The mount that a mailbox was found on."""

    changes: int
    """`mounts.mount_changes` at the time of the check. After a further change the check no longer
    counts."""
    found: Mount | None
    instead: Sequence[str] = ()
    """Mount points to forget when `found` is remembered."""
    news: bool = False
    """Whether `found` is not remembered yet."""


class MountProtection:
    """Protects the mailboxes of one destination, for one session."""

    def __init__(self, memory: MountMemory | None, template: MailboxPathTemplate) -> None:
        """Take the parts. Without `memory`, only mounts count that this object has seen."""
        self._lasting = memory is not None
        self._memory: MountMemory = memory or MountsInMemory()
        self._template = template
        self._checks: dict[MailboxPath, _MountCheck] = {}
        self._known: dict[str, Mount] | None = None

    def check(self, mailbox: MailboxPath) -> None:
        """Check that the mailbox is on the file system that it was on before.

        Raises DestinationUnavailable where the mount of the whole root differs. Raises OSError
        (ESTALE) where only a mount below the root differs, for that concerns the mailboxes there.
        """
        changes = mount_changes()
        last = self._checks.get(mailbox)
        if last is None or last.changes != changes:
            self._checks[mailbox] = self._checked(mailbox, changes)

    def remember(self, mailbox: MailboxPath) -> None:
        """Remember the mount of a mailbox that was checked, before mail is delivered there. Raises
        LedgerUnavailable."""
        last = self._checks[mailbox]
        if last.news and last.found is not None:
            if self._lasting and not self._remembered():
                self._warn_of_a_new_ledger(mailbox)
            self._memory.remember_mount(last.found, last.instead)
            self._known = None
            self._checks[mailbox] = replace(last, news=False)

    def _warn_of_a_new_ledger(self, mailbox: MailboxPath) -> None:
        """Warn where the ledger is new, but mail was delivered before. The state directory's disk
        may not be mounted: then everything is collected again."""
        # Hardly ever needed.
        from reconciler.destinations.maildir import maildir_audit  # noqa: PLC0415

        if self._memory.delivered_last(1):
            return
        found = maildir_audit.Maildirs.survey(mailbox)
        if found and (found.untouched or found.seen):
            log.warning(
                "the ledger is new, but there is mail of mailcollector's already: it may come "
                "again. If the state directory is on a disk that is not mounted, stop, and mount "
                "it",
                maildir=str(mailbox),
                messages=len(found.untouched) + len(found.seen),
            )

    def _checked(self, mailbox: MailboxPath, changes: int) -> _MountCheck:
        path = _real(mailbox)
        found = mount_of(path, changes)
        if found is None:
            return _MountCheck(changes, None)
        known = self._remembered()
        point = deepest(known, path)
        if point is None or len(point) < len(found.point):
            if self._lasting:
                self._expect_nothing_else(mailbox, path, found)
            return _MountCheck(changes, found, news=True)
        expected = known[point]
        if expected.is_the_same(found, path):
            return _MountCheck(changes, found)
        if not self._memory.accepted():
            witness = self._message_still_there(point)
            if witness is None:
                _hold(mailbox, expected, found)
            log.info(
                "the Maildirs are on another file system than before, with the mail that was "
                "delivered last",
                mail=witness,
                was=f"{expected.point} ({expected})",
                now=f"{found.point} ({found})",
            )
        return _MountCheck(changes, found, [point], news=True)

    def _remembered(self) -> dict[str, Mount]:
        if self._known is None:
            self._known = dict(self._memory.mounts())
        return self._known

    def _expect_nothing_else(self, mailbox: MailboxPath, path: str, found: Mount) -> None:
        """Check /etc/fstab, for nothing is remembered. Raises DestinationUnavailable where a file
        system listed there is not mounted."""
        missing = missing_mount(path)
        if missing is not None and len(missing) > len(found.point) and not self._memory.accepted():
            raise DestinationUnavailable(
                f"cannot deliver to {mailbox}: /etc/fstab has a file system for {missing}, and "
                f"none is mounted there; mount it. If mail is to go there all the same: {CONFIRM}"
            )

    def _message_still_there(self, point: str) -> str | None:
        """Return a message that was delivered lately to the file system at `point` and is there
        now; None where there is none."""
        # Hardly ever needed.
        from reconciler.destinations.maildir import maildir_audit  # noqa: PLC0415

        names: dict[MailboxPath, set[str]] = {}
        maildirs = maildir_audit.Maildirs(self._template)
        for recipient, name in self._memory.delivered_last(_WITNESSES):
            mailbox = maildirs.place(recipient)
            if mailbox and deepest(self._remembered(), _real(mailbox)) == point:
                names.setdefault(mailbox, set()).add(name)
        for mailbox, wanted in islice(names.items(), _LOOKED_INTO):
            try:
                found = maildirs.survey(mailbox)
            except DestinationUnavailable:
                continue
            for name in wanted:
                if found and (name in found.untouched or name in found.seen):
                    return f"{mailbox}: {name}"
        return None


def _hold(mailbox: MailboxPath, expected: Mount, found: Mount) -> NoReturn:
    """Raise the error that holds mail: DestinationUnavailable if the mount of the whole root
    differs, OSError (ESTALE) if only a mount below it differs."""
    here = (
        f"{expected.point} is not mounted"
        if expected.point != found.point
        else (
            f"another file system is mounted at {expected.point} ({found}), without the mail that "
            "was delivered last"
        )
    )
    reason = (
        f"{here}; mail went to the one that was there before ({expected}): mount that. If the "
        f"Maildirs are meant to be where they are now: {CONFIRM}"
    )
    if len(expected.point) > len(os.path.realpath(mailbox.root)):
        raise OSError(errno.ESTALE, reason)
    raise DestinationUnavailable(f"cannot deliver to {mailbox}: {reason}")


def _real(mailbox: MailboxPath) -> str:
    """Return the path with the links of its fixed part resolved. Others are not followed."""
    return os.path.join(os.path.realpath(mailbox.root), *mailbox.parts)  # noqa: PTH118
