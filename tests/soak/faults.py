"""What happens to the machine: each fault begins, lasts a while, and is mended."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.crashes.power import Disk
from tests.servers.dovecot import Dovecot
from tests.servers.numbering import new_validity, recreated
from tests.soak.program import Program
from tests.soak.proxy import Proxy

WEIGHTS = {"cut": 8, "kill": 4, "refuse": 3, "full": 3, "restart": 2, "recreate": 2, "power": 1}


class Faults:
    """`strike` does one at random and mends it before it returns; `struck` counts them."""

    def __init__(self, program: Program, dovecot: Dovecot, disk: Disk, proxies: dict[str, Proxy],
                 users: Sequence[str], sending: threading.Lock, chance: random.Random) -> None:
        """`sending` is held while mail is put into a mailbox."""
        self._program, self._dovecot, self._disk, self._proxies = program, dovecot, disk, proxies
        self._users, self._sending = users, sending
        self._chance = chance
        self.struck: Counter[str] = Counter()

    def strike(self, pause: Callable[[float], None]) -> None:
        [name] = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self.struck[name] += 1
        getattr(self, f"_{name}")(pause)
        self._program.ensure_running()

    def _cut(self, pause: Callable[[float], None]) -> None:
        for proxy in self._proxies.values():
            proxy.cut()

    def _kill(self, pause: Callable[[float], None]) -> None:
        self._program.kill()

    def _refuse(self, pause: Callable[[float], None]) -> None:
        for proxy in self._proxies.values():
            proxy.refusing = True
        pause(self._chance.uniform(0.5, 2))
        for proxy in self._proxies.values():
            proxy.refusing = False

    def _full(self, pause: Callable[[float], None]) -> None:
        """The ledger's disk and the mail's: all but a few blocks are taken, then all."""
        filler = self._disk.mounted / "filler"
        try:
            _fill(filler, spare=self._chance.choice([0, 20, 200]))
            pause(self._chance.uniform(0.5, 3))
        finally:
            filler.unlink()

    def _restart(self, pause: Callable[[float], None]) -> None:
        self._dovecot.restart()

    def _recreate(self, pause: Callable[[float], None]) -> None:
        """While the server is down, a few mailboxes are made anew with the same mail, or numbered anew."""
        chosen = self._chance.sample(self._users, 3)
        anew = self._chance.choice([recreated, new_validity])
        self._dovecot.restart(lambda: self._each(anew, chosen))

    def _each(self, anew: Callable[[Dovecot, str], None], users: Sequence[str]) -> None:
        with self._sending:
            for user in users:
                if (self._dovecot.maildir(user) / "dovecot-uidlist").exists():
                    anew(self._dovecot, user)

    def _power(self, pause: Callable[[float], None]) -> None:
        """The disk is gone at once, the program dies of it a little later."""
        self._disk.cut()
        pause(self._chance.uniform(0, 0.5))
        self._program.kill()
        self._disk.restore()


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
