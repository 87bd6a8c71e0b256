"""What happens to the machine and the network: each fault begins, lasts a while, and is mended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.crashes.power import Disk
from tests.servers.dovecot import Dovecot
from tests.servers.numbering import new_validity, recreated
from tests.soak.calls import failing
from tests.soak.clock import Clock
from tests.soak.program import Program
from tests.soak.proxy import Proxy

WEIGHTS = {
    "cut": 8,
    "calls": 8,
    "kill": 4,
    "slow": 3,
    "silent": 3,
    "refuse": 3,
    "freeze": 3,
    "full": 4,
    "inodes": 2,
    "immutable": 3,
    "unmounted": 2,
    "covered": 2,
    "readonly": 1,
    "clock": 4,
    "terminate": 2,
    "reload": 2,
    "restart": 2,
    "crash": 2,
    "recreate": 3,
    "power": 2,
    "second": 1,
}
_HOUR, _DAY = 3600, 86_400
_JUMPS = (
    -_HOUR,
    _HOUR,
    -7 * _HOUR,
    13 * _HOUR,
    -40 * _DAY,
    2 * _DAY,
    40 * _DAY,
    -1100 * _DAY,
    1100 * _DAY,
)


@dataclass(frozen=True)
class Surroundings:
    """What can be made to fail. `sending` is held while mail is put into a mailbox of one of the
    `users`."""

    program: Program
    dovecot: Dovecot
    state: Disk
    mail: Disk
    clock: Clock
    proxies: dict[str, Proxy]
    users: Sequence[str]
    sending: threading.Lock


class Faults:
    """`strike` does one at random and mends it before it returns; `struck` counts them, `wrong`
    says what the program did of it that it must not."""

    def __init__(self, around: Surroundings, chance: random.Random, longest: float) -> None:
        """`longest`: seconds that a fault lasts."""
        self._program, self._dovecot, self._time = around.program, around.dovecot, around.clock
        self._state, self._mail, self._proxies = around.state, around.mail, around.proxies
        self._users, self._sending = around.users, around.sending
        self._chance = chance
        self._longest = longest
        self.struck: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.wrong: list[str] = []

    def strike(self, pause: Callable[[float], None], name: str = "") -> None:
        [name] = [name] if name else self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self.struck[name] += 1
        self._program.note(name)
        getattr(self, f"_{name}")(
            lambda: pause(self._chance.uniform(self._longest / 6, self._longest))
        )
        self._program.ensure_running()

    # -- the network

    def _cut(self, wait: Callable[[], None]) -> None:
        for proxy in self._proxies.values():
            proxy.cut()

    def _refuse(self, wait: Callable[[], None]) -> None:
        self._all(wait, "refusing")

    def _slow(self, wait: Callable[[], None]) -> None:
        self._all(wait, "slow")

    def _silent(self, wait: Callable[[], None]) -> None:
        self._all(wait, "silent")

    def _all(self, wait: Callable[[], None], what: str) -> None:
        for proxy in self._proxies.values():
            setattr(proxy, what, True)
        wait()
        for proxy in self._proxies.values():
            setattr(proxy, what, False)

    # -- the server

    def _restart(self, wait: Callable[[], None]) -> None:
        with self._sending:
            self._dovecot.restart()

    def _crash(self, wait: Callable[[], None]) -> None:
        with self._sending:
            self._dovecot.restart(how=signal.SIGKILL)

    def _recreate(self, wait: Callable[[], None]) -> None:
        """While the server is down, a few mailboxes are made anew with the same mail, or numbered
        anew."""
        chosen = self._chance.sample(self._users, 3)
        anew = self._chance.choice([recreated, new_validity])
        with self._sending:
            self._dovecot.restart(lambda: self._each(anew, chosen))

    def _each(self, anew: Callable[[Dovecot, str], None], users: Sequence[str]) -> None:
        for user in users:
            if (self._dovecot.maildir(user) / "dovecot-uidlist").exists():
                anew(self._dovecot, user)

    # -- the process

    def _kill(self, wait: Callable[[], None]) -> None:
        self._program.kill()

    def _terminate(self, wait: Callable[[], None]) -> None:
        self._program.await_ready()
        if (code := self._program.stop()) != 0:
            self.wrong.append(f"SIGTERM ended it with {code}")

    def _reload(self, wait: Callable[[], None]) -> None:
        self._program.await_ready()
        for _ in range(30):
            self._program.signal(signal.SIGHUP)

    def _freeze(self, wait: Callable[[], None]) -> None:
        self._program.signal(signal.SIGSTOP)
        wait()
        self._program.signal(signal.SIGCONT)

    def _calls(self, wait: Callable[[], None]) -> None:
        what = failing(self._program.ensure_running(), self._chance, wait)
        self._program.note(what)
        self.calls[what.partition(" ")[0]] += 1

    def _clock(self, wait: Callable[[], None]) -> None:
        """It jumps, and comes back; a program that is started meanwhile knows no other time."""
        self._time.move(self._chance.choice(_JUMPS))
        if self._chance.random() < 0.3:
            self._program.kill()
            self._program.ensure_running()
        wait()
        self._time.move(0)

    def _second(self, wait: Callable[[], None]) -> None:
        self._program.await_ready()
        if (code := self._program.second()) != 2:
            self.wrong.append(f"a second program over the same state ended with {code}")

    # -- the disks

    def _full(self, wait: Callable[[], None]) -> None:
        """All but a few blocks are taken, or all."""
        disks = self._some_disks()
        try:
            for disk in disks:
                _fill(disk.mounted / "filler", spare=self._chance.choice([0, 20, 200]))
            wait()
        finally:
            for disk in disks:
                (disk.mounted / "filler").unlink()
                _keep(disk)

    def _inodes(self, wait: Callable[[], None]) -> None:
        disk = self._chance.choice((self._state, self._mail))
        crowd = disk.mounted / "crowd"
        crowd.mkdir()
        with suppress(OSError):
            for number in range(1 << 20):
                os.close(os.open(crowd / f"{number}", os.O_CREAT | os.O_WRONLY))
        wait()
        for path in crowd.iterdir():
            path.unlink()
        crowd.rmdir()
        _keep(disk)

    def _immutable(self, wait: Callable[[], None]) -> None:
        found = [
            self._state.mounted,
            *self._state.mounted.glob("state"),
            *self._state.mounted.glob("state/ledger*"),
            self._mail.mounted,
            *self._mail.mounted.glob("*"),
            *self._mail.mounted.glob("*/*/*"),
        ]
        victims = self._chance.sample(found, min(len(found), self._chance.choice((1, 1, 20))))
        subprocess.run(["chattr", "+i", *victims], check=False, stderr=subprocess.DEVNULL)
        wait()
        subprocess.run(["chattr", "-i", *victims], check=False, stderr=subprocess.DEVNULL)
        _keep(self._state)
        _keep(self._mail)

    def _readonly(self, wait: Callable[[], None]) -> None:
        """Where nothing is being written just then; else the kernel refuses."""
        disk = self._chance.choice((self._state, self._mail))
        if self._chance.random() < 0.5:
            self._program.kill()
        disk.remount("ro")
        self._program.ensure_running()
        wait()
        disk.remount("rw")

    def _unmounted(self, wait: Callable[[], None]) -> None:
        """The mail's disk: below a program that runs, or before it starts."""
        running = self._chance.random() < 0.5
        if not running:
            self._program.kill()
        self._mail.unmount(lazily=running)
        self._program.ensure_running()
        wait()
        self._mail.mount()

    def _covered(self, wait: Callable[[], None]) -> None:
        """Another file system is mounted over the mail's."""
        subprocess.run(["mount", "-t", "tmpfs", "none", self._mail.mounted], check=True)
        wait()
        below = sorted(path.name for path in self._mail.mounted.iterdir())
        subprocess.run(["umount", "-l", self._mail.mounted], check=True)
        if below:
            self.wrong.append(f"it wrote below another disk's mount point: {below}")

    def _power(self, wait: Callable[[], None]) -> None:
        """The disks are gone at once, the program dies of it a little later."""
        disks = self._some_disks()
        for disk in disks:
            disk.cut()
        wait()
        self._program.kill()
        for disk in disks:
            disk.restore()

    def _some_disks(self) -> Sequence[Disk]:
        return self._chance.choice(((self._state,), (self._mail,), (self._state, self._mail)))


def _keep(disk: Disk) -> None:
    """Make the end of a fault durable. Otherwise a power cut right afterwards brings the fault
    back, and nobody ends it a second time."""
    disk.sync()


def _fill(path: Path, spare: int) -> None:
    """Leave `spare` blocks free."""
    with path.open("wb") as filler:
        free = os.fstatvfs(filler.fileno())
        wanted = (free.f_bavail - spare) * free.f_bsize
        while wanted > free.f_bsize:
            try:
                os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), wanted)
            except OSError:
                wanted //= 2
