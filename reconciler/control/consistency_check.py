"""Compare the ledger with the Maildirs and the manifests, and fix what can be fixed safely.

Two things are safe, for nothing is lost by them. Temporary files are removed, where their delivery
is recorded, or where they are so old that no delivery needs them. Histories of collectors that are
declared no longer are retired, and kept for 30 days like any other. Mail that is recorded and not
found is only reported: mail programs move and delete mail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.errors import DestinationUnavailable
from reconciler.model.fsck_findings import FsckFinding

P = TypeVar("P")
"""The place of a Maildir, as the adapter names it."""


class TemporaryFile(Protocol):
    """A file of this program that is not mail yet, or no longer."""

    @property
    def linked(self) -> bool: ...

    @property
    def stale(self) -> bool: ...


class MaildirContent(Protocol):
    """The files of this program in one Maildir; see `destinations.maildir.maildir_audit`."""

    @property
    def temporary(self) -> Mapping[str, TemporaryFile]: ...

    @property
    def untouched(self) -> Mapping[str, int]: ...

    @property
    def seen(self) -> frozenset[str]: ...


class AuditedMaildirs(Protocol[P]):
    """The Maildirs of one destination."""

    def place(self, address: str) -> P | None: ...

    def places(self) -> Iterator[P]: ...

    def survey(self, place: P) -> MaildirContent | None: ...

    def remove(self, place: P, names: Sequence[str]) -> None: ...


class RecordedCopy(Protocol):
    """One recipient's copy of a message, as recorded."""

    @property
    def collector(self) -> str: ...

    @property
    def recipient(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...


class AuditedLedger(Protocol):
    """The part of the ledger that a consistency check reads and changes."""

    def damage(self) -> list[str]: ...

    def delivered(self) -> Iterator[RecordedCopy]: ...

    def recorded(self, names: Sequence[str]) -> set[str]: ...

    def histories(self) -> Collection[str]:
        """Return the names of the collectors that are not retired."""

    def retire(self, name: str, now: datetime) -> None: ...


class Fsck(Generic[P], Struct):
    """One consistency check.

    `maildirs` are the destination's Maildirs by collector, for the collectors that deliver into
    any. `declared` are all collectors that are declared, valid or not, or held. `fix`: fix what
    can be fixed. `suffix` ends the names of this program's files.
    """

    memory: AuditedLedger
    declared: Collection[str]
    maildirs: Mapping[str, AuditedMaildirs[P]]
    fix: bool
    now: datetime
    suffix: str
    _found: list[FsckFinding] = field(default_factory=list)
    _unreadable: set[P] = field(default_factory=set)

    def run(self) -> list[FsckFinding]:
        """Check everything, and return what was found, the worst first."""
        damage = self.memory.damage()
        self._found = [FsckFinding("error", "ledger-damaged", "ledger", 1, line) for line in damage]
        if not damage:  # a damaged ledger may say anything
            self._histories()
            self._deliveries()
            self._temporary()
        severities = ("error", "warning", "info")
        return sorted(
            self._found,
            key=lambda found: (severities.index(found.severity), found.rule, found.subject),
        )

    def _histories(self) -> None:
        for name in sorted(set(self.memory.histories()) - set(self.declared)):
            self._add(
                FsckFinding(
                    "warning",
                    "history-orphaned",
                    name,
                    1,
                    "no manifest declares this collector; its history can expire, in 30 days",
                    mendable=True,
                )
            )
            if self.fix:
                self.memory.retire(name, self.now)

    def _deliveries(self) -> None:
        survey = lru_cache(64)(
            lambda collector, place: self._survey(self.maildirs[collector], place)
        )
        gone: Counter[tuple[str, str]] = Counter()
        for copy in self.memory.delivered():
            maildirs = self.maildirs.get(copy.collector)
            if maildirs is None or not copy.name.endswith(self.suffix):
                continue
            place = maildirs.place(copy.recipient)
            found = survey(copy.collector, place) if place else None
            if place in self._unreadable:
                continue
            size = found.untouched.get(copy.name) if found else None
            if size is not None and size != copy.size:
                self._add(
                    FsckFinding(
                        "error",
                        "mail-damaged",
                        f"{place}/new/{copy.name}",
                        1,
                        f"has {size} octets, {copy.size} were delivered: restore it from a backup",
                    )
                )
            elif size is None and not (
                found and (copy.name in found.seen or copy.name in found.temporary)
            ):
                gone[copy.collector, str(place or copy.recipient)] += 1
        for (collector, where), count in gone.items():
            self._add(
                FsckFinding(
                    "info",
                    "mail-gone",
                    collector,
                    count,
                    f"delivered, and not in {where}: moved or deleted since, or delivered "
                    "elsewhere",
                )
            )

    def _survey(self, maildirs: AuditedMaildirs[P], place: P) -> MaildirContent | None:
        """Return what stands in a Maildir; None where it cannot be read, which hides no other
        one."""
        try:
            return maildirs.survey(place)
        except DestinationUnavailable as error:
            if place not in self._unreadable:
                self._unreadable.add(place)
                self._add(FsckFinding("warning", "maildir-unreadable", str(place), 1, str(error)))
            return None

    def _temporary(self) -> None:
        for place, maildirs in _places(self.maildirs.values()).items():
            found = self._survey(maildirs, place)
            if found is None or not found.temporary:
                continue
            recorded = self.memory.recorded(list(found.temporary))
            kinds: dict[str, list[str]] = {}
            for name, file in found.temporary.items():
                kinds.setdefault(_kind(file, recorded=name in recorded), []).append(name)
            for kind, names in kinds.items():
                self._report_temporary(place, maildirs, kind, names)

    def _report_temporary(
        self, place: P, maildirs: AuditedMaildirs[P], kind: str, names: Sequence[str]
    ) -> None:
        severity, message = _KINDS[kind]
        fixable = severity == "warning"
        self._add(
            FsckFinding(
                "warning" if fixable else "info",
                kind,
                str(place),
                len(names),
                message,
                mendable=fixable,
            )
        )
        if fixable and self.fix:
            maildirs.remove(place, names)

    def _add(self, finding: FsckFinding) -> None:
        self._found.append(replace(finding, mended=self.fix and finding.mendable))


_KINDS = {
    "tmp-recorded": (
        "warning",
        "in tmp, left by a crash after their delivery was recorded: nobody needs them",
    ),
    "tmp-stale": (
        "warning",
        "in tmp, left by a crash before they were delivered, over 36 hours ago",
    ),
    "tmp-unrecorded": (
        "info",
        "in tmp, delivered; a crash came before the record: the next session knows them",
    ),
    "tmp-young": (
        "info",
        "in tmp, left by a crash, or by somebody who is delivering: replaced by the next session",
    ),
}


def _kind(file: TemporaryFile, *, recorded: bool) -> str:
    if file.linked:
        return "tmp-recorded" if recorded else "tmp-unrecorded"
    return "tmp-stale" if file.stale else "tmp-young"


def _places(destinations: Iterable[AuditedMaildirs[P]]) -> dict[P, AuditedMaildirs[P]]:
    """Return each Maildir once, however many collectors deliver into it."""
    return {place: maildirs for maildirs in destinations for place in maildirs.places()}
