"""What happens to the machine: each fault begins, lasts a while, and is mended."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crashes.power import Disk
from tests.servers.dovecot import Dovecot
from tests.soak.program import Program
from tests.soak.proxy import Proxy

WEIGHTS = {"cut": 8, "kill": 6, "refuse": 3, "full": 3, "restart": 2, "power": 1}


class Faults:
    """`strike` does one at random and mends it before it returns; `struck` counts them."""

    def __init__(self, program: Program, dovecot: Dovecot, disk: Disk, proxies: dict[str, Proxy],
                 chance: random.Random) -> None:
        self._program, self._dovecot, self._disk, self._proxies = program, dovecot, disk, proxies
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
