"""A mail server, a Maildir and a ledger in memory, all three of which can die at any step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count

from msgspec.structs import replace

from reconciler.collect.session import Session
from reconciler.collect.session_context import SessionTask
from reconciler.ledger.column_types import COUNTED
from reconciler.model.errors import (
    ConnectionFailed,
    DestinationUnavailable,
    FolderFailed,
    LeaseLost,
    SourceError,
)
from reconciler.model.history import AccountState, Alert
from reconciler.model.messages import (
    NUMBERINGS,
    Account,
    Arrival,
    Deletion,
    DeliveryId,
    Fetched,
    Fingerprint,
    Folder,
    Listed,
    Listing,
    Pace,
    Unfetched,
    Vanished,
)
from reconciler.model.outcomes import (
    Adoption,
    Delivered,
    DeliveryOutcome,
    Entry,
    MessageState,
    Orphan,
    Record,
    SessionReport,
)
from reconciler.model.routing_answer import RoutedRecipient, Routing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """The process is gone: nothing in the code under test may catch this."""


@dataclass
class Fate:
    """Raises at the step whose number is `at`, or at the so-manieth of a name, `on`; `steps` names
    all that were passed. After a crash no thread gets any further."""

    at: int = -1
    error: Callable[[], BaseException] = Crash
    steps: list[str] = field(default_factory=list)
    on: tuple[str, int] = ("", 0)
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, name: str) -> None:
        with self.lock:
            if self.over:
                raise Crash
            self.steps.append(name)
            if len(self.steps) - 1 != self.at and (name, self.steps.count(name)) != self.on:
                return
            error = self.error()
            self.over = isinstance(error, Crash)
            raise error


@dataclass
class Broken(Fate):
    """Raises at the first `most` steps of these names."""

    only: tuple[str, ...] = ()
    most: int = 1

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.only and self.most:
            self.most -= 1
            raise self.error()


@dataclass
class Server:
    """`messages` by key, oldest first. POP3 commits its deletes at QUIT, IMAP at once."""

    protocol: str = "imap"
    messages: dict[str, bytes] = field(default_factory=dict)
    uidl: bool = True
    """False: keys are numbers that mean something within one session only."""
    refuse: set[str] = field(default_factory=set)
    breaking: set[str] = field(default_factory=set)
    """Asked for one of these, it closes the connection."""
    final: set[str] = field(default_factory=set)
    """Refused for good."""
    ahead: int = 1
    """Messages that are asked for at once."""
    behind: bool = False
    """The message whose content is being read is not among the suspects, but those behind it."""
    notes: Sequence[str] = ()
    until: int = 0
    """Refuse everything after this number of messages, in all."""
    doubt: set[str] = field(default_factory=set)
    account: Account = field(default_factory=lambda: Account("imap", "mail.example.org", 1, "user"))
    validity: int = 1
    next_key: int | None = None
    same_uidl: bool = False
    """Every message has the same UIDL, as long as there are several."""
    top: bool = True
    """False: headers cannot be had by themselves."""
    headers: int = 0
    """How many have been asked for."""
    vanish: set[str] = field(default_factory=set)
    read_only: bool = False
    alerts: Sequence[str] = ()
    archive: dict[str, bytes] | None = None
    """The messages of a second folder, where there is one."""

    @property
    def folder(self) -> Folder:
        account = replace(self.account, protocol="imap" if self.protocol == "imap" else "pop3")
        return Folder(account, *(("INBOX", self.validity) if self.protocol == "imap" else ("", 0)))


class MemorySource:
    def __init__(self, server: Server, fate: Fate) -> None:
        self.server, self.fate = server, fate
        self.doomed: set[str] = set()
        self.closed = ""
        self.suspects: Sequence[Listed] = ()
        self.alerts: Sequence[str] = server.alerts

    def _step(self, name: str) -> None:
        """What fails here ends the connection."""
        try:
            self.fate.step(name)
        except FolderFailed:
            raise
        except SourceError:
            self.closed = "broken"
            raise

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        self.writable = writable
        self._step("list")
        if not self.server.uidl:
            texts = self.server.messages.values()
            self.server.messages = {f"#{number}": text for number, text in enumerate(texts, 1)}
        if self.server.same_uidl:
            texts = self.server.messages.values()
            self.server.messages = {
                "u" if n == 1 else f"u #{n}": text for n, text in enumerate(texts, 1)
            }
        shared = self.server.same_uidl and len(self.server.messages) > 1
        yield Listing(
            self.server.folder,
            tuple(Listed(key, len(text), shared) for key, text in self.server.messages.items()),
            read_only=self.server.read_only,
            keys_stable=self.server.uidl,
            next_key=self.server.next_key,
            notes=tuple(self.server.notes),
        )
        if (archive := self.server.archive) is not None:
            listed = tuple(Listed(key, len(text)) for key, text in archive.items())
            yield Listing(replace(self.server.folder, name="Archive"), listed)

    def headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterator[tuple[Listed, bytes | None]]:
        assert not self.closed
        self._step("headers")
        self.server.headers += len(messages)
        for message in messages:
            head, _, _ = self.server.messages[message.key].partition(b"\r\n\r\n")
            yield message, head + b"\r\n\r\n" if self.server.top else None

    @property
    def account_state(self) -> str:
        return " ".join(["stands", *self.server.messages]) if self.server.uidl else ""

    def unchanged(self, state: str, *, writable: bool) -> bool:
        self.writable = writable
        self._step("look for changes")
        return self.account_state == state

    def fetch(
        self, folder: Folder, messages: Sequence[Listed], pace: Pace = Pace.AHEAD
    ) -> Iterator[Fetched]:
        assert not self.closed
        for place, message in enumerate(messages):
            first = place + self.server.behind
            self.suspects = messages[first : first + self.server.ahead]
            self._step("fetch from Archive" if folder.name == "Archive" else "fetch")
            if message.key in self.server.breaking:
                self.closed = "broken"
                raise broken()
            given = self.fate.steps.count("half a message")
            if self.server.until and given >= self.server.until:
                yield Unfetched(message, "NO more")
            elif message.key in self.server.vanish:
                yield Vanished(message, "Message is expunged")
            elif message.key in self.server.final:
                yield Unfetched(message, "NO never", final=True)
            elif message.key in self.server.refuse:
                yield Unfetched(message, "NO such luck")
            else:
                yield Arrival(
                    message,
                    self._content(self._texts(folder)[message.key]),
                    partial(self._doubt, message.key),
                )

    def _texts(self, folder: Folder) -> dict[str, bytes]:
        if folder.name == "Archive":
            assert self.server.archive is not None
            return self.server.archive
        return self.server.messages

    def _doubt(self, key: str) -> str:
        return "sizes differ" if key in self.server.doubt else ""

    def _content(self, text: bytes) -> Iterator[bytes]:
        middle = len(text) // 2
        yield text[:middle]
        self._step("half a message")
        yield text[middle:]

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        assert not self.closed
        assert self.writable
        assert not self.server.read_only
        self._step("before delete")
        keys = frozenset(message.key for message in messages)
        if self.server.protocol == "pop3":
            self.doomed |= keys
            return Deletion(pending=keys)
        self._expunge(keys, folder)
        self._step("after delete")
        return Deletion(confirmed=keys)

    def _expunge(self, keys: Iterable[str], folder: Folder | None = None) -> None:
        for key in keys:
            self._texts(folder or self.server.folder).pop(key, None)

    def finish(self) -> Deletion:
        assert self.closed in ("", "broken")
        self._step("before quit")
        self.closed = "finished"
        self._expunge(self.doomed)
        self._step("after quit")
        return Deletion(confirmed=frozenset(self.doomed))

    def abort(self) -> None:
        self.closed = "aborted"

    def reconnect(self) -> None:
        self._step("reconnect")
        self.doomed, self.closed = set(), ""


@dataclass(frozen=True)
class MemoryStaged:
    message: DeliveryId
    text: bytes
    recipients: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.text)


@dataclass
class Mailboxes:
    """What was delivered: by recipient, then by name."""

    delivered: dict[str, dict[object, bytes]] = field(default_factory=dict)

    def texts(self, recipient: str = "a@here") -> list[bytes]:
        return sorted(self.delivered.get(recipient, {}).values())


Verdicts = Callable[[str], DeliveryOutcome]


def accept(recipient: str) -> DeliveryOutcome:
    return Delivered(recipient, "file")


class MemoryDestination:
    """Idempotent, as a Maildir is; `verdict` decides for each recipient."""

    def __init__(
        self, mailboxes: Mailboxes, fate: Fate, batch_size: int = 100, verdict: Verdicts = accept
    ) -> None:
        self.mailboxes, self.fate, self.batch_size, self.verdict = (
            mailboxes,
            fate,
            batch_size,
            verdict,
        )
        self.open: list[MemoryStaged] = []
        self.full = False

    def exists(self, address: str) -> bool | None:
        return None

    def deliverable(self, address: str) -> bool:
        return True

    def check(self) -> str:
        return "in memory"

    def finish(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing hangs."""

    def stage(
        self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]
    ) -> MemoryStaged:
        if self.full:
            raise DestinationUnavailable("the disk is full")
        staged = MemoryStaged(message, b"".join(content), tuple(recipients))
        self.open.append(staged)
        self.fate.step("staged")
        return staged

    def commit(
        self, staged: Sequence[MemoryStaged]
    ) -> Iterator[tuple[MemoryStaged, tuple[DeliveryOutcome, ...]]]:
        for item in staged:
            self.fate.step("before commit")
            outcomes = tuple(self.verdict(recipient) for recipient in item.recipients)
            for outcome in outcomes:
                if isinstance(outcome, Delivered):
                    names = self.mailboxes.delivered.setdefault(outcome.recipient, {})
                    assert names.setdefault(item.message, item.text) == item.text
            self.fate.step("after commit")
            yield item, outcomes

    def settle(self, staged: Sequence[MemoryStaged]) -> None:
        self.fate.step("settle")
        self.discard(staged)

    def discard(self, staged: Sequence[MemoryStaged]) -> None:
        for item in staged:
            self.open.remove(item)


@dataclass
class Row:
    number: int
    entry: Entry
    print: Fingerprint | None
    size: int = 0


def _loaded(entry: Entry) -> Entry:
    """What the ledger loads of a record (`outcomes.Entry`)."""
    collected = entry.state is MessageState.COLLECTED
    return replace(
        entry,
        delivered=frozenset() if collected else entry.delivered,
        content=entry.content if entry.deleted or not collected else "",
        header=entry.header if entry.state is MessageState.LISTED else "",
        at=entry.at if entry.state is MessageState.PAUSED or entry.wait is not None else None,
    )


@dataclass
class MemoryLedger:
    """`rows` by folder, key and occurrence."""

    fate: Fate = field(default_factory=Fate)
    rows: dict[tuple[Folder, str, int], Row] = field(default_factory=dict)
    reports: list[SessionReport] = field(default_factory=list)
    number: int = 1
    kept: AccountState | None = None
    told: Sequence[Alert] = ()
    lost: bool = False
    """Another process has taken it."""
    numbers: Iterator[int] = field(default_factory=count)

    def put(self, folder: Folder, entry: Entry, print_: Fingerprint | None = None) -> None:
        there = self.rows.get((folder, entry.key, entry.occurrence))
        number = there.number if there else next(self.numbers)
        self.rows[folder, entry.key, entry.occurrence] = Row(number, entry, print_)

    def identity(self, collector: str) -> tuple[str, int]:
        return collector, self.number

    def hold(self) -> None:
        if self.lost:
            raise LeaseLost("taken")

    def current(self, collector: str, folder: Folder) -> Folder:
        same = [
            known
            for known, _, _ in self.rows
            if (known.account, known.name) == (folder.account, folder.name)
            and known.validity % NUMBERINGS == folder.validity
        ]
        return max(same, key=lambda known: known.validity, default=folder)

    def known(self, collector: str, folder: Folder) -> Mapping[str, Entry]:
        ordered = sorted(
            (key, occurrence) for where, key, occurrence in self.rows if where == folder
        )
        return {
            key: _loaded(self.rows[folder, key, occurrence].entry) for key, occurrence in ordered
        }

    def record(
        self, collector: str, folder: Folder, records: Sequence[Record], now: datetime
    ) -> None:
        if not records:
            return
        self.fate.step("before record")
        self.kept = None
        for record in records:
            old = self.rows.get((folder, record.key, record.occurrence))
            served, tried = (old.entry.delivered, old.entry.attempts) if old else (frozenset(), 0)
            print_ = record.fingerprint or (old.print if old else None)
            entry = Entry(
                record.key,
                record.state,
                record.occurrence,
                tried + (record.counted or record.state in COUNTED),
                served | {delivered.recipient for delivered in record.delivered},
                reason=record.reason,
                content=print_.content if print_ else "",
                header=print_.header if print_ else "",
                at=now,
                wait=record.wait,
            )
            self.put(folder, entry, print_)
            self.rows[folder, entry.key, entry.occurrence].size = record.size
        self.fate.step("after record")

    def record_deleted(
        self, collector: str, folder: Folder, keys: Iterable[str], now: datetime
    ) -> None:
        self.fate.step("before record of deletion")
        self.kept = None
        for place, row in self.rows.items():
            if place[0] == folder and place[1] in set(keys):
                row.entry = replace(row.entry, deleted=True)
        self.fate.step("after record of deletion")

    def orphaned(self, collector: str, folders: Sequence[Folder]) -> bool:
        return bool(self._orphans(folders))

    def orphans(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str], content: str = ""
    ) -> Sequence[Orphan]:
        wanted = set(headers)
        return [
            orphan
            for orphan in self._orphans(folders)
            if orphan.fingerprint.header in wanted and content in ("", orphan.fingerprint.content)
        ]

    def orphans_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        return Counter(
            orphan.fingerprint.header for orphan in self.orphans(collector, folders, headers)
        )

    def listed_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        wanted = set(headers)
        return Counter(
            row.print.header
            for (folder, _, _), row in self.rows.items()
            if folder in folders
            and row.entry.state is MessageState.LISTED
            and row.print
            and row.print.header in wanted
        )

    def _orphans(self, folders: Sequence[Folder]) -> list[Orphan]:
        return [
            Orphan(row.number, folder, row.entry, row.print)
            for (folder, _, _), row in self.rows.items()
            if folder not in folders and not row.entry.deleted and row.print and row.print.content
        ]

    def adopt(
        self, collector: str, folder: Folder, adoptions: Sequence[Adoption], now: datetime
    ) -> None:
        self.fate.step("before adopt")
        self.kept = None
        for adoption in adoptions:
            there = [
                occurrence
                for where, key, occurrence in self.rows
                if (where, key) == (folder, adoption.key)
            ]
            for occurrence in there:
                if not (row := self.rows[folder, adoption.key, occurrence]).entry.content:
                    assert row.entry.state is not MessageState.COLLECTED
                    del self.rows[folder, adoption.key, occurrence]
            [(place, row)] = [
                (place, row)
                for place, row in self.rows.items()
                if row.number == adoption.orphan.number
            ]
            del self.rows[place]
            nth = max(
                (
                    occ + 1
                    for where, key, occ in self.rows
                    if (where, key) == (folder, adoption.key)
                ),
                default=0,
            )
            entry = replace(row.entry, key=adoption.key, occurrence=nth, state=adoption.state)
            self.rows[folder, adoption.key, nth] = Row(row.number, entry, row.print)
        self.fate.step("after adopt")

    def record_session(self, collector: str, report: SessionReport) -> None:
        self.reports.append(report)

    def alerts(self, collector: str) -> Sequence[Alert]:
        return self.told

    def keep_alerts(self, collector: str, alerts: Sequence[Alert]) -> None:
        self.told = alerts

    def account_state(self, collector: str) -> AccountState | None:
        return self.kept

    def keep_account_state(self, collector: str, epoch: int, state: AccountState) -> None:
        self.fate.step("keep the account's state")
        assert epoch == self.number
        self.kept = state


@dataclass
class Helm:
    """Steering for a test: stops after so many progress reports."""

    stop_after: int = -1
    reports: list[SessionReport] = field(default_factory=list)
    ignores_pauses: bool = False
    repeats_unanswered: bool = False
    logins: int = 1

    @property
    def stopping(self) -> bool:
        return 0 <= self.stop_after <= len(self.reports)

    def another_login(self) -> None:
        self.logins += 1

    def progress(self, report: SessionReport) -> None:
        self.reports.append(report)


def everything_to(*addresses: str) -> Callable[[bytes], Routing]:
    routing = Routing(
        tuple(RoutedRecipient(address, "forward", None, None, "forwardTo") for address in addresses)
    )
    return lambda head: routing


@dataclass
class World:
    """A server, mailboxes and a ledger that outlive the sessions between them."""

    server: Server = field(default_factory=Server)
    mailboxes: Mailboxes = field(default_factory=Mailboxes)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    task: SessionTask = field(
        default_factory=lambda: SessionTask(
            "sales", "new-keep", 100, 10_000, everything_to("a@here")
        )
    )
    batch_size: int = 100
    verdict: Verdicts = accept
    full: bool = False
    now: datetime = NOW

    def session(self, fate: Fate | None = None, helm: Helm | None = None) -> SessionReport:
        """Run one session; every report must add up, and nothing may stay staged."""
        fate = fate or Fate()
        self.ledger.fate = fate
        self.source = MemorySource(self.server, fate)
        self.destination = MemoryDestination(self.mailboxes, fate, self.batch_size, self.verdict)
        self.destination.full = self.full
        session = Session(
            self.task, self.source, self.destination, self.ledger, helm or Helm(), lambda: self.now
        )
        report = session.run()
        assert (
            report.listed
            == report.collected + report.skipped + report.parked + report.failed + report.left
        )
        assert self.destination.open == [] or (
            report.error and report.error.reason in ("LedgerUnavailable", "LeaseLost")
        )
        assert self.source.closed
        return report


def broken() -> ConnectionFailed:
    return ConnectionFailed("mail.example.org:1: the connection broke")
