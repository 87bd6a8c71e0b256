"""Everything together: mailboxes, mail that keeps coming, a daemon that collects it, people, and
faults."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tests.crashes.power import Disk
from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.soak.clock import Clock
from tests.soak.faults import WEIGHTS, Faults, Surroundings
from tests.soak.mail import DOMAIN, Account, Arrived, accounts
from tests.soak.people import DESTINATIONS, Author, Reader, again_and_again
from tests.soak.program import Program
from tests.soak.proxy import Proxy

PORTS = ("imap", "imaps", "pop3", "pop3s", "lmtp")
SOON = 60.0
"""Seconds after the last fault within which everything is to be collected."""
ROUNDS = 20
"""Sessions of each collector after that, at most."""
_MANIFEST = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  title: "{title}"
  enabled: {enabled}
  source:
    protocol: {account.protocol}
    host: localhost
    port: {port}
    tls: {account.tls}
    {ca}
    username: {account.user}
    password: {{file: {secret}}}
  collect: {{mode: {account.mode}, interval: 5s, limit: {limit}}}
  recipient: {{forwardTo: {account.recipient}}}
  destination: {account.target}
"""


@dataclass
class Result:
    seed: int
    sent: int = 0
    amid: int = 0
    """Delivered while faults struck; the others afterwards."""
    soon: float | None = None
    """Seconds after the last fault until all was collected; None: not within the patience."""
    late: dict[str, str] = field(default_factory=dict)
    """What the collectors said that had not collected everything after `SOON` seconds."""
    lost: int = 0
    doubled: int = 0
    """In Maildirs."""
    again: int = 0
    """Copies by LMTP beyond the first."""
    other_ids: int = 0
    """Of these, with another X-Collector-Id."""
    strange: int = 0
    """Files that are nobody's message, or not as it was sent."""
    kept_wrongly: int = 0
    """Messages on the server that the mode says must be gone, or gone that must be there."""
    rounds: int = 0
    connections: int = 0
    cuts: int = 0
    ended: list[int] = field(default_factory=list)
    peak: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    by_kind: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Sent, lost and doubled by protocol, mode and destination."""

    @property
    def clean(self) -> bool:
        return not (
            self.lost
            or self.doubled
            or self.other_ids
            or self.strange
            or self.kept_wrongly
            or self.wrong
        )


class Soak:
    """`rate` messages a second for `seconds`; the same `seed` means the same faults, at much the
    same times."""

    def __init__(
        self,
        seconds: float,
        seed: int,
        *,
        mailboxes: int = 48,
        rate: float = 20,
        fault_every: float = 2,
        kinds: Sequence[str] = (),
        fragile: int = 10,
        patience: float = 600,
        log: Path | None = None,
    ) -> None:
        """`kinds`: these alone, each once even where `seconds` are over before. `fragile` of a
        hundred connections break. `patience`: seconds after the last fault within which everything
        must be collected. `log`: of the program, and of the faults."""
        self._seconds, self._rate, self._fault_every = seconds, rate, fault_every
        self._kinds, self._fragile, self._log = kinds, fragile, log
        self._patience = patience
        self._chance = random.Random(seed)
        self._accounts = accounts(mailboxes)
        self._sending = threading.Lock()
        self.result = Result(seed)

    def run(self) -> Result:
        with ExitStack() as stack:
            self._dovecot = stack.enter_context(Dovecot())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak")))
            messages = int(max(self._seconds, 100) * self._rate)
            state = stack.enter_context(Disk(mebibytes=64 + messages // 200))
            mail = stack.enter_context(Disk(mebibytes=64 + messages // 80, inodes=messages + 4000))
            self._proxies = {
                name: stack.enter_context(
                    Proxy(self._port(name), self._another_chance(), self._fragile)
                )
                for name in PORTS
            }
            self._deployment = Deployment(directory / "deployment", self._dovecot)
            self._deployment.state = state.mounted / "state"
            (self._deployment.root / "mail").symlink_to(mail.mounted)
            clock = Clock(directory / "clock")
            program = Program(self._deployment, self._log or directory / "log", clock.environment)
            author = Author(
                self._deployment.manifests, self._accounts, self._another_chance(), self._manifest
            )
            self._deployment.write(
                "destination",
                DESTINATIONS.format(
                    mail=self._deployment.root / "mail", port=self._proxies["lmtp"].port
                ),
            )
            author.declare()
            reader = Reader([self._maildir(account) for account in self._accounts[::2]])
            users = [account.user for account in self._accounts]
            faults = Faults(
                Surroundings(
                    program, self._dovecot, state, mail, clock, self._proxies, users, self._sending
                ),
                self._chance,
                longest=1.5 * self._fault_every,
            )
            state.sync()
            mail.sync()
            stack.callback(program.kill)
            program.ensure_running()
            self._storm(faults, author, reader)
            self._rest(program)
            program.await_ready()
            if (code := program.stop()) != 0:
                faults.wrong.append(f"SIGTERM ended it with {code}")
            self._settle()
            self._count()
            result = self.result
            result.struck, result.calls, result.wrong, result.edits = (
                faults.struck,
                faults.calls,
                faults.wrong,
                author.edits,
            )
            result.connections = sum(proxy.connections for proxy in self._proxies.values())
            result.cuts = sum(proxy.cuts for proxy in self._proxies.values())
            result.ended, result.peak = program.ended, program.peak
        return self.result

    def _another_chance(self) -> random.Random:
        return random.Random(self._chance.random())

    def _port(self, name: str) -> Callable[[], int]:
        return lambda: self._dovecot.ports[name]

    def _maildir(self, account: Account) -> Path:
        return self._deployment.root / "mail" / DOMAIN / account.name

    def _manifest(self, account: Account, name: str, title: str, limit: int, enabled: bool) -> str:
        return _MANIFEST.format(
            account=account,
            name=name,
            title=title,
            enabled=str(enabled).lower(),
            limit=limit,
            port=self._proxies[account.port].port,
            secret=self._deployment.secret,
            ca=f"caFile: {self._dovecot.ca_file}" if account.tls == "implicit" else "",
        )

    # -- the storm

    def _storm(self, faults: Faults, author: Author, reader: Reader) -> None:
        over = threading.Event()

        def pause(seconds: float) -> None:
            over.wait(seconds)

        def send() -> None:
            self._send(chance)
            pause(chance.uniform(0, 20) / self._rate)

        def read() -> None:
            reader.turn()
            pause(0.1)

        def edit() -> None:
            author.turn(pause)
            pause(author_chance.uniform(0, 4 * self._fault_every))

        chance, author_chance = self._another_chance(), self._another_chance()
        with (
            again_and_again(send, over, "sender"),
            again_and_again(read, over, "reader"),
            again_and_again(edit, over, "author"),
        ):
            self._strike(faults)
        self.result.amid = sum(self._arrived(account).copies.total() for account in self._accounts)
        for proxy in self._proxies.values():
            proxy.sturdy()

    def _send(self, chance: random.Random) -> None:
        """A burst to one mailbox."""
        count = chance.randrange(1, 20)
        account = chance.choice(self._accounts)
        with self._sending:
            account.send(self._dovecot, range(self.result.sent, self.result.sent + count), chance)
        self.result.sent += count

    def _strike(self, faults: Faults) -> None:
        """Each kind once in whatever order, then at random."""
        kinds = list(self._kinds or WEIGHTS)
        self._chance.shuffle(kinds)
        end = time.monotonic() + self._seconds
        for kind in chain(
            kinds,
            iter(lambda: self._chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0], None),
        ):
            if time.monotonic() > end and len(faults.struck) == len(kinds):
                return
            time.sleep(self._chance.uniform(0, 2 * self._fault_every))
            faults.strike(time.sleep, kind)

    # -- afterwards

    def _rest(self, program: Program) -> None:
        """Nothing is done for it: what is missing comes by itself."""
        began = time.monotonic()
        told = False
        while (passed := time.monotonic() - began) < self._patience:
            program.ensure_running()
            missing = [
                account
                for account in self._accounts
                if len(self._arrived(account).copies) < len(account.sent)
            ]
            if not missing:
                self.result.soon = passed
                return
            if passed > SOON and not told:
                told = True
                self.result.late = self._excuses(missing)
            time.sleep(0.5)

    def _excuses(self, missing: Sequence[Account]) -> dict[str, str]:
        shown = self._deployment.get()
        return {
            account.name: f"{account}: {len(self._arrived(account).copies)} of "
            f"{len(account.sent)}; " + _told(shown.get(account.name))
            for account in missing
        }

    def _settle(self) -> None:
        """Sessions without faults until nothing is left to do."""
        for self.result.rounds in range(1, ROUNDS + 1):
            done = self._deployment.run("run", str(self._deployment.manifests), "--once", code=None)
            shown = self._deployment.get().values()
            if done.returncode == 0 and not any(
                session[what]
                for each in shown
                for session in [each["status"]["lastSession"]]
                for what in ("left", "failed", "parked", "collected")
            ):
                return
        raise AssertionError(f"it does not come to rest:\n{done.stderr[-3000:]}")

    def _arrived(self, account: Account) -> Arrived:
        arrived = Arrived()
        box = (
            self._dovecot.maildir(account.recipient)
            if account.target == "lmtp"
            else self._maildir(account)
        )
        for part in ("new", "cur"):
            for path in box.glob(f"{part}/*"):
                arrived.add(account, path.read_bytes())
        return arrived

    def _count(self) -> None:
        result = self.result
        for account in self._accounts:
            arrived = self._arrived(account)
            lost = len(account.sent.keys() - arrived.copies.keys())
            again = arrived.copies.total() - len(arrived.copies)
            result.lost += lost
            result.strange += arrived.strange
            if account.target == "maildir":
                result.doubled += again
            else:
                result.again += again
                result.other_ids += sum(len(ids) - 1 for ids in arrived.ids.values())
            expected = len(account.sent) if account.mode == "new-keep" else 0
            result.kept_wrongly += abs(len(self._dovecot.messages(account.user)) - expected)
            before = result.by_kind.get(str(account), (0, 0, 0))
            result.by_kind[str(account)] = (
                before[0] + len(account.sent),
                before[1] + lost,
                before[2] + again,
            )


def _told(collector: dict[str, Any] | None) -> str:
    if collector is None:
        return "not declared"
    status = collector["status"]
    said = [
        f"{each['type']} {each['status']} {each['reason']}: {each['message']}"
        for each in status["conditions"]
    ]
    return f"{'; '.join(said)}; next {status['nextSession']}; last {status['lastSession']}"


def table(result: Result, seconds: float) -> Iterator[str]:
    yield f"{'':26} {'sent':>7} {'lost':>5} {'again':>7}"
    for kind, (sent, lost, again) in sorted(result.by_kind.items()):
        yield f"{kind:26} {sent:7} {lost:5} {again:7}"
    yield f"{'together':26} {result.sent:7} {result.lost:5} {result.doubled + result.again:7}"
    yield (
        f"doubled in Maildirs {result.doubled}, by LMTP {result.again}, "
        f"{result.other_ids} of them with another "
        f"X-Collector-Id; not as sent {result.strange}, wrong on the server {result.kept_wrongly}"
    )
    yield f"{result.amid} arrived amid the faults, everything " + (
        f"{result.soon:.0f} s after the last"
        if result.soon is not None
        else "not within the patience after the last"
    )
    yield from (f"after {SOON:.0f} s, {name} {told}" for name, told in result.late.items())
    yield ""
    yield (
        f"{seconds:.0f} s, seed {result.seed}; {result.connections} connections, "
        f"{result.cuts} of them cut; "
        f"at rest in round {result.rounds}"
    )
    for what in ("struck", "calls", "edits"):
        yield f"{what}: " + ", ".join(
            f"{name} {count}" for name, count in getattr(result, what).most_common()
        )
    yield (
        f"the daemon ended by itself with {Counter(result.ended)}, "
        f"held {result.peak // 1024} MiB at most"
    )
    yield from result.wrong
