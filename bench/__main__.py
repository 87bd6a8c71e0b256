"""`python -m bench`, from the checkout's root: mailcollector beside other programs and the physical
floors, in one run.

Every run begins in an empty directory with an empty state, everything synced to disk before; the
programs take turns, so that a busy machine is busy for all of them. Client, server and disk share
this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import corpus, crowd, report
from bench.field import IN_DAEMON, ONCE, Failed, Field
from bench.ours import Figures
from bench.peers import FLOORS, PEERS, PROTOCOLS, Account, Peer
from bench.proxy import Proxy
from bench.report import Case
from bench.sheet import Sheet
from tests.servers import mail
from tests.servers.dovecot import Dovecot

USER, WARM = "bench@shop.example", "warm@shop.example"
FAR = 0.040
"""Seconds of a round trip."""
SLOW = ("fetchmail+procmail", "getmail6")
"""By an order of magnitude: measured once only."""


class Bench:
    def __init__(self, field: Field, server: Dovecot, asked: argparse.Namespace) -> None:
        self._field = field
        self._server = server
        self._runs: int = asked.runs
        self._peers = {
            name: peer
            for name, peer in PEERS.items()
            if name in asked.peers.split(",") and shutil.which(peer.program)
        }
        self._protocols: list[str] = asked.protocols.split(",")

    def collect(self, count: int) -> Iterator[Case]:
        """A mailbox with mail of all sizes."""
        size = self._seed(USER, corpus.letters(count)) / 1e6
        cases = [
            Case(f"{protocol.upper()}: {count} messages, {size:.0f} MB", count)
            for protocol in self._protocols
        ]
        for turn in range(self._runs):
            for protocol, case in zip(self._protocols, cases, strict=True):
                for name, peer in self._able({**FLOORS, **self._peers}, protocol):
                    if not turn or name not in SLOW:
                        self._other(case, name, peer, self._account(protocol, USER))
                case.starts.append(self._field.once(self._account(protocol, USER), 0).wall)
                case.add(ONCE, self._field.once(self._account(protocol, USER), count))
                case.add(IN_DAEMON, self._session(protocol, USER, count))
        yield from cases

    def far(self, count: int) -> Iterator[Case]:
        """The same over a connection with a long round trip."""
        user = f"far-{USER}"
        self._seed(user, corpus.letters(count))
        for protocol in self._protocols:
            case = Case(
                f"{protocol.upper()}, round trip {FAR * 1000:.0f} ms: {count} messages", count
            )
            with Proxy(self._server.ports[protocol], FAR) as proxy:
                for turn in range(self._runs):
                    for name, peer in self._able(self._peers, protocol):
                        if not turn or name not in SLOW:
                            self._other(
                                case, name, peer, self._field.account(protocol, user, proxy.port)
                            )
                    case.add(IN_DAEMON, self._session(protocol, user, count, proxy.port))
            yield case

    def polls(self, count: int) -> Iterator[Case]:
        """A mailbox in which nothing is new."""
        user = f"poll-{count}-{USER}"
        self._seed(user, corpus.small(count))
        for protocol in self._protocols:
            case = Case(f"{protocol.upper()}: poll of {count} messages, nothing new", 0)
            for name, peer in self._able(self._peers, protocol):
                if name not in SLOW:
                    for figures in self._field.poll(
                        peer, self._account(protocol, user), count, self._runs
                    ):
                        case.add(name, figures)
            sessions = self._field.session(
                self._account(protocol, user), self._account(protocol, WARM), count, self._runs + 1
            )
            for figures in sessions[
                2:
            ]:  # neither the first session nor the poll behind it, which may pay for that
                case.add(IN_DAEMON, figures)
            yield case

    def memory(self, size: int) -> Iterator[Case]:
        """Few messages that are very large: how far a session goes beyond the idle daemon."""
        user = f"large-{USER}"
        self._seed(user, [mail.message(number, size) for number in range(4)])
        for protocol in self._protocols:
            case = Case(f"{protocol.upper()}: 4 messages of {size / 1e6:.0f} MB", 4)
            case.add(IN_DAEMON, self._session(protocol, user, 4))
            yield case

    def _other(self, case: Case, name: str, peer: Peer, account: Account) -> None:
        """A run of another program that fails is told of and left out."""
        try:
            case.add(name, self._field.peer(peer, account, case.messages))
        except Failed as failure:
            print(f"left out: {case.title}: {failure}", file=sys.stderr)

    def _seed(self, user: str, letters: Sequence[bytes]) -> int:
        self._server.deliver(user, letters)
        return sum(map(len, letters))

    def _account(self, protocol: str, user: str) -> Account:
        return self._field.account(protocol, user)

    def _session(self, protocol: str, user: str, count: int, port: int | None = None) -> Figures:
        [figures] = self._field.session(
            self._field.account(protocol, user, port), self._account(protocol, WARM), count
        )
        return figures

    @staticmethod
    def _able(peers: dict[str, Peer], protocol: str) -> list[tuple[str, Peer]]:
        return [(name, peer) for name, peer in peers.items() if protocol in peer.protocols]


def main() -> int:
    asked = _arguments()
    results: list[Case | Sheet] = []
    with ExitStack() as stack:
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bench", dir=asked.temp))
        )
        root.chmod(0o755)
        subprocess.run(
            ["chattr", "+T", root], check=False, stderr=subprocess.DEVNULL
        )  # ext4: runs far from each other
        for found in _measured(asked, root, stack):
            results.append(found)
            print(found.text(), flush=True)
            if asked.out:
                _write(asked.out, results)
    missed = [sheet.title for sheet in results if isinstance(sheet, Sheet) and not sheet.held]
    for title in missed:
        print(f"over the mark: {title}", file=sys.stderr)
    return 1 if missed and asked.collectors >= FULL else 0


def _measured(asked: argparse.Namespace, root: Path, stack: ExitStack) -> Iterator[Case | Sheet]:
    names: list[str] = asked.cases.split(",")
    if set(names) - set(CROWDS):
        server = stack.enter_context(Dovecot())
        server.deliver(WARM, [mail.message(number) for number in range(10)])
        bench = Bench(Field(server, root), server, asked)
    small = asked.messages < 2000
    steps: dict[str, Callable[[], Iterator[Case]]] = {
        "collect": lambda: bench.collect(asked.messages),
        "far": lambda: bench.far(min(500, asked.messages)),
        "poll": lambda: (
            case
            for count in ((asked.messages,) if small else (2_000, 20_000))
            for case in bench.polls(count)
        ),
        "memory": lambda: bench.memory(8_000_000 if small else 45_000_000),
    }
    for name in names:
        yield from steps[name]() if name in steps else _crowd(name, asked, root)


def _crowd(name: str, asked: argparse.Namespace, root: Path) -> Iterator[Sheet]:
    """On a server of its own, and cleared away before the next one begins."""
    size: int = asked.collectors if name != "idle" else max(1, asked.collectors // 5)
    with (
        Dovecot(hosts=crowd.HOSTS, more=crowd.DOVECOT) as server,
        tempfile.TemporaryDirectory(prefix=name, dir=root) as work,
    ):
        yield from CROWDS[name](crowd.Crowd(server, Path(work), size), asked)


CROWDS: dict[str, Callable[[crowd.Crowd, argparse.Namespace], Iterator[Sheet]]] = {
    "start": lambda them, _: crowd.start(them),
    "change": lambda them, asked: crowd.change(them, asked.runs),
    "idle": lambda them, _: crowd.idle(them),
    "many": lambda them, asked: crowd.many(them, asked.interval, asked.minutes),
}
FULL = 10_000
"""Of so many collectors the marks are held; fewer only show that it runs."""


def _write(out: Path, results: Sequence[Case | Sheet]) -> None:
    cases = [found for found in results if isinstance(found, Case)]
    sheets = [row for found in results if isinstance(found, Sheet) for row in found.data()]
    out.with_suffix(".json").write_text(json.dumps([*report.data(cases), *sheets], indent=1) + "\n")
    if cases:
        out.with_suffix(".svg").write_text(report.picture(cases))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--cases",
        default="collect,far,poll,memory,start,change,idle",
        help="and many, which takes a whole interval more than --minutes",
    )
    parser.add_argument(
        "--collectors", type=int, default=FULL, help="of start, change and many; idle has a fifth"
    )
    parser.add_argument("--interval", type=int, default=300, metavar="SECONDS", help="of many")
    parser.add_argument("--minutes", type=float, default=15.0, help="that many is watched")
    parser.add_argument("--protocols", default=",".join(PROTOCOLS))
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="the other programs, where they are installed"
    )
    parser.add_argument(
        "--temp", default=tempfile.gettempdir(), help="a directory on the disk that is measured"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="write PATH.json and PATH.svg")
    asked = parser.parse_args()
    os.umask(0o022)
    return asked


if __name__ == "__main__":
    sys.exit(main())
