"""Everything together: twenty mailboxes, mail that keeps coming, a daemon that collects it, and faults."""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crashes.power import Disk
from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.soak.faults import Faults
from tests.soak.mail import accounts, letter
from tests.soak.program import Program
from tests.soak.proxy import Proxy

PORTS = ("imap", "imaps", "pop3", "pop3s")
ROUNDS = 20
"""Sessions of each collector after the last fault, at most."""


@dataclass
class Result:
    seed: int
    sent: int = 0
    amid: int = 0
    """Delivered while faults struck; the others afterwards."""
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    """Files that are nobody's message."""
    kept_wrongly: int = 0
    """Messages on the server that the mode says must be gone, or gone that must be there."""
    rounds: int = 0
    connections: int = 0
    cuts: int = 0
    ended_by_itself: int = 0
    peak: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Sent, lost and doubled by protocol and mode."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.foreign or self.kept_wrongly)


class Soak:
    """`rate` messages a second for `seconds`; the same `seed` means the same faults, at much the same times."""

    def __init__(self, seconds: float, seed: int, *, mailboxes: int = 20, rate: float = 20,
                 fault_every: float = 2) -> None:
        self._seconds, self._rate, self._fault_every = seconds, rate, fault_every
        self._chance = random.Random(seed)
        self._accounts = accounts(mailboxes)
        self._over = threading.Event()
        self._sending = threading.Lock()
        self.result = Result(seed)

    def run(self) -> Result:
        with ExitStack() as stack:
            dovecot = stack.enter_context(Dovecot())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak")))
            disk = stack.enter_context(Disk(mebibytes=max(256, int(self._seconds * self._rate) // 80),
                                            inodes=int(self._seconds * self._rate) + 20_000))
            proxies = {name: stack.enter_context(Proxy(lambda name=name: dovecot.ports[name],  # type: ignore[misc]
                                                       random.Random(self._chance.random()), fragile=35))
                       for name in PORTS}
            deployment = Deployment(disk.mounted / "deployment", dovecot)
            self._declare(deployment, proxies, limit=100)
            program = Program(deployment, directory / "log")
            users = [account.user for account in self._accounts]
            faults = Faults(program, dovecot, disk, proxies, users, self._sending, self._chance)
            disk.sync()
            program.ensure_running()
            with self._mail_keeps_coming(dovecot):
                self._strike(faults)
            program.await_ready()
            assert program.stop() == 0, program.log.read_text()[-3000:]
            self.result.amid = sum(len(deployment.mail(account.name)) for account in self._accounts)
            self._declare(deployment, proxies, limit=0)  # ends every back-off, and parked mail is tried again
            for proxy in proxies.values():
                proxy.sturdy()
            self._settle(deployment, dovecot)
            self._count(deployment, dovecot)
            self.result.struck = faults.struck
            self.result.connections = sum(proxy.connections for proxy in proxies.values())
            self.result.cuts = sum(proxy.cuts for proxy in proxies.values())
            self.result.ended_by_itself, self.result.peak = program.ended_by_itself, program.peak
        return self.result

    def _declare(self, deployment: Deployment, proxies: dict[str, Proxy], limit: int) -> None:
        for account in self._accounts:
            path = deployment.declare(account.name, account.user, protocol=account.protocol, tls=account.tls,  # type: ignore[arg-type]
                                      mode=account.mode, interval="5s", limit=limit)
            text = path.read_text()
            port = deployment.dovecot.ports[account.port]
            deployment.write(account.name, text.replace(f"port: {port}\n", f"port: {proxies[account.port].port}\n"))

    @contextmanager
    def _mail_keeps_coming(self, dovecot: Dovecot) -> Iterator[None]:
        thread = threading.Thread(target=self._send, args=(dovecot, random.Random(self._chance.random())))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _send(self, dovecot: Dovecot, chance: random.Random) -> None:
        """In bursts, each to one mailbox."""
        while not self._over.is_set():
            account = chance.choice(self._accounts)
            count = chance.randrange(1, 20)
            mails = [letter(self.result.sent + number, chance) for number in range(count)]
            with self._sending:
                dovecot.deliver(account.user, mails)
            account.sent.update(map(_digest, mails))
            self.result.sent += count
            self._over.wait(count / self._rate)

    def _strike(self, faults: Faults) -> None:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            time.sleep(self._chance.uniform(0, 2 * self._fault_every))
            faults.strike(time.sleep)

    def _settle(self, deployment: Deployment, dovecot: Dovecot) -> None:
        """Sessions without faults until nothing is left to do."""
        for self.result.rounds in range(1, ROUNDS + 1):
            done = deployment.run("run", str(deployment.manifests), "--once", code=None)
            shown = deployment.get().values()
            if done.returncode == 0 and not any(
                    session[what] for each in shown for session in [each["status"]["lastSession"]]
                    for what in ("left", "failed", "parked", "collected")):
                return
        raise AssertionError(f"it does not come to rest:\n{done.stderr[-3000:]}")

    def _count(self, deployment: Deployment, dovecot: Dovecot) -> None:
        for account in self._accounts:
            arrived = Counter(_digest(path.read_bytes()) for path in deployment.maildir(account.name).glob("new/*"))
            lost = (account.sent - arrived).total()
            doubled = sum(min(arrived[each] - account.sent[each], arrived[each]) for each in arrived
                          if arrived[each] > account.sent[each] > 0)
            self.result.lost += lost
            self.result.doubled += doubled
            self.result.foreign += sum(arrived[each] for each in arrived if each not in account.sent)
            expected = account.sent.total() if account.mode == "new-keep" else 0
            self.result.kept_wrongly += abs(len(dovecot.messages(account.user)) - expected)
            kind = f"{account.protocol} {account.mode}"
            before = self.result.by_kind.get(kind, (0, 0, 0))
            self.result.by_kind[kind] = (before[0] + account.sent.total(), before[1] + lost, before[2] + doubled)


def _digest(mail: bytes) -> bytes:
    return hashlib.sha256(mail).digest()[:16]


def table(result: Result, seconds: float) -> Iterator[str]:
    yield f"{'':20} {'sent':>7} {'lost':>5} {'doubled':>7}"
    for kind, (sent, lost, doubled) in sorted(result.by_kind.items()):
        yield f"{kind:20} {sent:7} {lost:5} {doubled:7}"
    yield f"{'together':20} {result.sent:7} {result.lost:5} {result.doubled:7}"
    yield f"{result.amid} of them were delivered amid the faults, the others afterwards"
    yield ""
    yield f"{seconds:.0f} s, seed {result.seed}; {result.connections} connections, {result.cuts} of them cut"
    yield "faults: " + ", ".join(f"{name} {count}" for name, count in result.struck.most_common())
    yield f"foreign files {result.foreign}, wrong on the server {result.kept_wrongly}; at rest in round {result.rounds}"
    yield f"the daemon ended by itself {result.ended_by_itself} times, held {result.peak // 1024} MiB at most"
