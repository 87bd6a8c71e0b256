"""What becomes of an account in many situations, session by session, as a table.

Each situation is a server with something the matter, asked in several modes. `session_table.txt`
has for each session its counters, what it asked of the server, and its notes, and in the end what
the ledger knows. `python -m tests.collect.session_table` writes it anew: read the difference, each
line of it is a change of behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from msgspec.structs import replace

from reconciler.model.errors import (
    DestinationUnavailable,
    FolderFailed,
    LeaseLost,
    LedgerUnavailable,
    ProtocolViolation,
    Throttled,
)
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused, SessionReport
from tests.collect.accounts import Mode
from tests.collect.world import Broken, Fate, Helm, Server, World, broken, everything_to

TABLE = Path(__file__).with_suffix(".txt")
_SESSIONS = 4
_BETWEEN = timedelta(days=1, hours=1)
_ASKED = {
    "list": "listed",
    "look for changes": "looked",
    "headers": "headers",
    "fetch": "fetched",
    "fetch from Archive": "fetched from Archive",
    "staged": "staged",
    "before commit": "committed",
    "settle": "settled",
    "before record": "recorded",
    "before adopt": "adopted",
    "keep the account's state": "state kept",
    "before delete": "deleted",
    "before record of deletion": "recorded deleted",
    "before quit": "quit",
    "reconnect": "connected again",
}
"""The steps of a session, and what the table calls them."""
Prepare = Callable[[World, int], Fate | Helm | None]
"""Change the world before the session of this number, from 0; return what befalls it."""


@dataclass(frozen=True)
class Account:
    protocol: str
    mode: Mode
    uidl: bool = True

    def __str__(self) -> str:
        return f"{self.protocol} {self.mode}{'' if self.uidl else ', no UIDL'}"


ACCOUNTS = (
    Account("imap", "new-keep"),
    Account("imap", "new-delete"),
    Account("pop3", "all-delete"),
    Account("pop3", "new-keep"),
    Account("pop3", "all-delete", uidl=False),
)


def lines(*situations: str) -> Iterator[str]:
    for name in situations or SITUATIONS:
        prepare = SITUATIONS[name]
        found: dict[tuple[str, ...], list[Account]] = {}
        for account in ACCOUNTS:
            found.setdefault(tuple(_sessions(account, prepare)), []).append(account)
        for told, accounts in found.items():
            yield f"== {name} · {' · '.join(map(str, accounts))}"
            for line, times in ((line, len(list(again))) for line, again in groupby(told)):
                yield f"  {line}{f' [{times} times]' if times > 1 else ''}"


def texts(keys: range) -> dict[str, bytes]:
    """Return messages of different sizes, the smallest in the middle."""
    middle = keys[len(keys) // 2]
    return {
        str(key): f"Subject: {key}\r\n\r\n{'x' * 7 * abs(key - middle)}\r\n".encode()
        for key in keys
    }


def _sessions(account: Account, prepare: Prepare) -> Iterator[str]:
    world = World(Server(account.protocol, texts(range(1, 7)), uidl=account.uidl))
    world.task = replace(world.task, mode=account.mode)
    for number in range(_SESSIONS):
        turn = prepare(world, number)
        helm = turn if isinstance(turn, Helm) else Helm()
        fate = turn if isinstance(turn, Fate) else Fate()
        report = world.session(fate, helm)
        yield f"{_counters(report)}; {_asked(fate)}; told {len(helm.reports)}"
        if report.error is not None:
            yield f"  {report.error.reason}: {report.error.message}"
        yield from (f"  note: {note}" for note in report.notes)
        world.now += _BETWEEN
    yield f"delivered {_delivered(world)}; on the server: {' '.join(world.server.messages)}"
    yield from _known(world)


def _counters(report: SessionReport) -> str:
    counters = {
        "listed": report.listed,
        "collected": report.collected,
        **report.skipped_reasons,
        "parked": report.parked,
        "failed": report.failed,
        "left": report.left,
        "deleted": report.deleted,
        "octets": report.bytes,
    }
    told = ", ".join(f"{name} {count}" for name, count in counters.items() if count)
    return f"{report.outcome}: {told}"


def _asked(fate: Fate) -> str:
    return ", ".join(
        f"{told} {fate.steps.count(step)}" for step, told in _ASKED.items() if step in fate.steps
    )


def _delivered(world: World) -> str:
    return ", ".join(
        f"{recipient} {len(texts)}"
        for recipient, texts in sorted(world.mailboxes.delivered.items())
    )


def _known(world: World) -> Iterator[str]:
    """Yield what the ledger knows of the messages and their sizes, those of a state in one line."""
    alike: dict[str, list[str]] = {}
    for (folder, key, occurrence), row in world.ledger.rows.items():
        entry = row.entry
        said = f"{folder.name}/{folder.validity} {entry.state}"
        said += f", attempts {entry.attempts}" if entry.attempts else ""
        said += ", deleted" if entry.deleted else ""
        said += f", has it: {' '.join(sorted(entry.delivered))}" if entry.delivered else ""
        said += f", wait {entry.wait}" if entry.wait is not None else ""
        said += f" ({entry.reason})" if entry.reason else ""
        short = key.removeprefix("sha256:")[:4] if key.startswith("sha256:") else key
        alike.setdefault(said, []).append(short + "'" * occurrence + f"({row.size})")
    for said, keys in sorted(alike.items()):
        yield f"{said}: {' '.join(sorted(keys))}"


# -- situations


def _server(first: int = 0, **attributes: object) -> Prepare:
    """The server has these from the session `first` on, and no longer in the last one."""

    def prepare(world: World, number: int) -> None:
        for name, value in attributes.items():
            if number == first:
                setattr(world.server, name, value)
            elif number == _SESSIONS - 1:
                setattr(world.server, name, getattr(Server(), name))

    return prepare


def _befalls(*sessions: int, **fate: object) -> Prepare:
    def prepare(_: World, number: int) -> Fate | Helm | None:
        return Broken(**fate) if number in sessions else None  # type: ignore[arg-type]

    return prepare


def _verdicts(verdicts: Mapping[str, DeliveryOutcome]) -> Prepare:
    """The destination answers so for each address until the last session."""

    def prepare(world: World, number: int) -> None:
        world.task = replace(world.task, route=everything_to(*verdicts), single=len(verdicts) == 1)
        last = number == _SESSIONS - 1
        world.verdict = lambda address: Delivered(address, "file") if last else verdicts[address]

    return prepare


def _more_each_time(first: int = 0, **attributes: object) -> Prepare:
    """Two new messages come before each session but the first."""
    others = _server(first, **attributes)

    def prepare(world: World, number: int) -> Fate | Helm | None:
        if number:
            world.server.messages |= texts(range(5 + 2 * number, 7 + 2 * number))
        return others(world, number)

    return prepare


def _limit(limit: int, others: Prepare) -> Prepare:
    def prepare(world: World, number: int) -> Fate | Helm | None:
        world.task = replace(world.task, limit=limit)
        return others(world, number)

    return prepare


def _archive(others: Prepare) -> Prepare:
    def prepare(world: World, number: int) -> Fate | Helm | None:
        if world.server.protocol == "imap" and number == 0:
            world.server.archive = texts(range(20, 23))
        return others(world, number)

    return prepare


def _renumbered(others: Prepare) -> Prepare:
    """The server renumbers its messages before the second session."""

    def prepare(world: World, number: int) -> Fate | Helm | None:
        if number == 1:
            world.server.validity += world.server.protocol == "imap"
            world.server.messages = {
                str(int(key.lstrip("#")) + 100): text for key, text in world.server.messages.items()
            }
        return others(world, number)

    return prepare


def _same_uidl(world: World, _: int) -> None:
    world.server.same_uidl = world.server.protocol == "pop3" and world.server.uidl


def _large(world: World, number: int) -> None:
    world.task = replace(world.task, max_size=30)


def _digest(others: Prepare) -> Prepare:
    """The sessions may go without a listing where nothing has changed."""

    def prepare(world: World, number: int) -> Fate | Helm | None:
        world.task = replace(world.task, digest="the same")
        return others(world, number)

    return prepare


def _dozens(*, new: bool) -> Prepare:
    """The server has two dozen messages, of which every second one ends the connection: those that
    were there from the beginning, or those that come later."""

    def prepare(world: World, number: int) -> None:
        server = world.server
        if number == 0 and not new:
            server.messages |= texts(range(7, 25))
        elif number == 1 and new:
            server.messages |= texts(range(7, 31))
        if number <= 1:
            server.breaking = {key for key in server.messages if int(key.lstrip("#")) % 2}
            server.breaking -= {"1"} if new and number == 0 else set()

    return prepare


def _new_ones_break(world: World, number: int) -> None:
    if number == 1:
        new = texts(range(7, 21))
        world.server.messages |= new
        world.server.breaking = {*new}


def _both(one: Prepare, other: Prepare) -> Prepare:
    def prepare(world: World, number: int) -> Fate | Helm | None:
        return one(world, number) or other(world, number)

    return prepare


def _told_to_stop(world: World, number: int) -> Helm | None:
    return Helm(stop_after=2 * number) if number < _SESSIONS - 1 else None


def _ignores_pauses(others: Prepare, *, repeats_unanswered: bool = False) -> Prepare:
    def prepare(world: World, number: int) -> Fate | Helm | None:
        others(world, number)
        return Helm(ignores_pauses=True, repeats_unanswered=repeats_unanswered)

    return prepare


def _soon(others: Prepare) -> Prepare:
    """A session follows a minute after the other."""

    def prepare(world: World, number: int) -> Fate | Helm | None:
        world.now += timedelta(minutes=1) - (_BETWEEN if number else timedelta())
        return others(world, number)

    return prepare


def _disk_full(world: World, number: int) -> None:
    world.full = number < _SESSIONS - 1


def _violated() -> ProtocolViolation:
    return ProtocolViolation("this is not IMAP")


def _throttled() -> Throttled:
    return Throttled("come back later", retry_after=600)


def _unavailable() -> DestinationUnavailable:
    return DestinationUnavailable("the disk is full")


def _ledger_failed() -> LedgerUnavailable:
    return LedgerUnavailable("the ledger cannot be written")


def _lease_lost() -> LeaseLost:
    return LeaseLost("another process has taken it")


def _folder_failed() -> FolderFailed:
    return FolderFailed("INBOX: it cannot be opened", broken())


_FINE = _server()
SITUATIONS: dict[str, Prepare] = {
    "nothing the matter": _FINE,
    "two more each time": _more_each_time(),
    "a limit of 2": _limit(2, _FINE),
    "two folders": _archive(_FINE),
    "some are too large": _large,
    "renumbered": _renumbered(_FINE),
    "renumbered, no headers": _renumbered(_server(top=False)),
    "renumbered, a limit of 2": _limit(2, _renumbered(_FINE)),
    "the same UIDL for all": _same_uidl,
    "read-only": _server(read_only=True),
    "alerts and notes": _server(alerts=("soon full", "soon full"), notes=("odd",)),
    "one is refused": _more_each_time(refuse={"2"}),
    "one is refused, nothing else is new": _server(refuse={"2"}),
    "three are refused": _server(refuse={"1", "2", "3"}),
    "all are refused": _server(refuse={str(key) for key in range(1, 7)}),
    "all are refused from the second session on": _more_each_time(
        first=1, refuse={str(key) for key in range(1, 20)}
    ),
    "one is refused for good": _server(final={"2"}),
    "one vanishes": _server(vanish={"2"}),
    "one is doubted": _server(doubt={"2"}),
    "one ends the connection": _more_each_time(breaking={"2"}),
    "one ends the connection, nothing else is new": _server(breaking={"2"}),
    "the last one ends the connection": _server(breaking={"6"}),
    "two end the connection, two at once": _more_each_time(breaking={"2", "5"}, ahead=2),
    "two end the connection, four at once": _more_each_time(breaking={"2", "5"}, ahead=4),
    "all end the connection": _server(breaking={str(key) for key in range(1, 7)}),
    "one ends the connection, one is refused": _server(breaking={"5"}, refuse={"2"}),
    "one ends the connection, renumbered": _renumbered(_server(breaking={"102"})),
    "one ends the connection, two folders": _archive(_server(breaking={"2"})),
    "every second one of many ends the connection": _dozens(new=False),
    "every second one of many new ones ends the connection": _dozens(new=True),
    "none but the new ones end the connection": _new_ones_break,
    "nothing after three": _server(until=3),
    "one is refused, and nothing comes after three": _server(refuse={"1"}, until=3),
    "one ends the connection, and nothing comes after three": _server(breaking={"1"}, until=3),
    "not listed": _befalls(0, 2, only=("list",), error=broken),
    "the list breaks the protocol": _befalls(0, only=("list",), error=_violated),
    "throttled at once": _befalls(0, 1, only=("list",), error=_throttled),
    "cut in a message": _befalls(0, 1, only=("half a message",), error=broken),
    "cut in three messages": _befalls(0, only=("half a message",), most=3, error=broken),
    "cut in every message": _befalls(0, 1, 2, only=("half a message",), most=99, error=broken),
    "cut in a message, two folders": _archive(_befalls(0, only=("half a message",), error=broken)),
    "cut in a message that is not suspected": _both(
        _server(behind=True), _befalls(0, 1, only=("half a message",), error=broken)
    ),
    "the protocol is broken in a message": _befalls(
        0, 1, only=("half a message",), error=_violated
    ),
    "throttled in a message": _befalls(0, 1, only=("half a message",), error=_throttled),
    "no second connection": _befalls(
        0, 1, only=("half a message", "reconnect"), most=2, error=broken
    ),
    "no second connection, two folders": _archive(
        _befalls(0, 1, only=("half a message", "reconnect"), most=99, error=broken)
    ),
    "no second connection, one waits alone": _both(
        _more_each_time(breaking={"2"}), _befalls(1, 2, only=("reconnect",), most=99, error=broken)
    ),
    "throttled at the second connection": _befalls(
        0, 1, only=("half a message", "reconnect"), most=2, error=_throttled
    ),
    "a folder fails": _befalls(0, only=("fetch",), error=_folder_failed),
    "a folder fails, two folders": _archive(_befalls(0, only=("fetch",), error=_folder_failed)),
    "both folders fail": _archive(
        _befalls(0, only=("fetch", "fetch from Archive"), most=2, error=_folder_failed)
    ),
    "the second folder is cut": _archive(_befalls(0, only=("fetch from Archive",), error=broken)),
    "deletion is cut": _befalls(0, 1, only=("before delete",), error=broken),
    "deletion is always cut": _befalls(0, 1, only=("before delete",), most=99, error=broken),
    "deletion is cut afterwards": _befalls(0, only=("after delete",), error=broken),
    "the end is cut": _befalls(0, only=("before quit",), error=broken),
    "the end is cut afterwards": _befalls(0, only=("after quit",), error=broken),
    "headers are cut": _renumbered(_befalls(1, only=("headers",), error=broken)),
    "headers are always cut": _renumbered(_befalls(1, 2, only=("headers",), most=99, error=broken)),
    "the disk is full": _disk_full,
    "the commit fails": _befalls(0, 1, only=("before commit",), error=_unavailable),
    "nothing can be recorded": _befalls(0, only=("before record",), most=99, error=_ledger_failed),
    "what was delivered cannot be recorded": _befalls(0, only=("after record",), error=_lease_lost),
    "a deletion cannot be recorded": _befalls(
        0, only=("before record of deletion",), error=_ledger_failed
    ),
    "told to stop": _told_to_stop,
    "unchanged, asked cheaply": _digest(_FINE),
    "unchanged, one waits": _digest(_server(refuse={"2"})),
    "the cheap question is cut": _digest(_befalls(1, 2, only=("look for changes",), error=broken)),
    "a minute later, one is refused": _soon(_server(refuse={"2"})),
    "a minute later, one ends the connection": _soon(_more_each_time(breaking={"2"})),
    "all is put off for a time, a minute later": _soon(
        _verdicts({"a@here": Deferred("a@here", "450", wait=90.0)})
    ),
    "nobody knows whether all came, a minute later": _soon(
        _verdicts({"a@here": Deferred("a@here", "?", unsure=True)})
    ),
    "nobody knows whether all came, and somebody asks": _ignores_pauses(
        _soon(_verdicts({"a@here": Deferred("a@here", "?", unsure=True)}))
    ),
    "nobody knows whether all came, and somebody accepts copies": _ignores_pauses(
        _soon(_verdicts({"a@here": Deferred("a@here", "?", unsure=True)})), repeats_unanswered=True
    ),
    "all is put off": _verdicts({"a@here": Deferred("a@here", "450 later")}),
    "all is put off for a time": _verdicts({"a@here": Deferred("a@here", "450", wait=180_000.0)}),
    "nobody knows whether all came": _verdicts({"a@here": Deferred("a@here", "?", unsure=True)}),
    "all is refused": _verdicts({"a@here": Refused("a@here", "550 no")}),
    "one of two is put off": _verdicts(
        {"a@here": Delivered("a@here", "file"), "b@here": Deferred("b@here", "450 later")}
    ),
    "one of two is refused": _verdicts(
        {"a@here": Delivered("a@here", "file"), "b@here": Refused("b@here", "550 no")}
    ),
    "one of two is refused, one put off": _verdicts(
        {"a@here": Deferred("a@here", "450 later"), "b@here": Refused("b@here", "550 no")}
    ),
}

if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in lines()))
