"""Which points to die at, and walking them."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.crashes.edge import Death
from tests.crashes.nursery import Nursery
from tests.crashes.power import Disk
from tests.crashes.scene import Combination, Scene, Tally, survive
from tests.servers.dovecot import Dovecot

_numbers = itertools.count(1)


def every_point(steps: Counter[str]) -> Iterator[Death]:
    """Before and after each step."""
    for kind in sorted(steps):
        for number in range(1, steps[kind] + 1):
            yield Death(kind, number, "before")
            yield Death(kind, number, "after")


def each_kind(
    steps: Counter[str], decisive: Collection[str] | None = None, part: int = 0
) -> Iterator[Death]:
    """One of each kind, and every commit of messages: what is recorded decides what follows. With
    `decisive` one of each of these, and of the other kinds a third: those of `part` 0, 1 or 2."""
    for turn, kind in enumerate(sorted(steps)):
        if decisive is not None and kind not in decisive and sum(kind.encode()) % 3 != part:
            continue
        numbers = (
            range(1, steps[kind] + 1) if kind == "commit messages" else [1 + turn % steps[kind]]
        )
        for number in numbers:
            yield Death(kind, number, "after" if (turn + number) % 2 else "before")


def steps_of(combination: Combination, dovecot: Dovecot, nursery: Nursery) -> Counter[str]:
    """Of a session that nothing befalls."""
    with tempfile.TemporaryDirectory() as directory:
        scene = Scene(Path(directory, "life"), dovecot, combination, next(_numbers))
        code, steps = scene.live(nursery)
        assert code == 0, (scene.deployment.root / "log").read_text()
        assert scene.verdict() == (0, 0)
        scene.check_ledger()
    return steps


def walk(
    combination: Combination, deaths: Iterable[Death], dovecot: Dovecot, nursery: Nursery
) -> Tally:
    """Die once at each point. With Maildirs, a mail program moves what it sees every other time."""
    tally = Tally()
    for turn, death in enumerate(deaths):
        with tempfile.TemporaryDirectory() as directory:
            scene = Scene(Path(directory, "life"), dovecot, combination, next(_numbers))
            reader = combination.target == "maildir" and turn // 2 % 2 == 1
            tally.add(death, *survive(scene, nursery, death, reader=reader))
    return tally


def walk_with_power_cuts(
    combination: Combination, deaths: Iterable[Death], dovecot: Dovecot, nursery: Nursery
) -> Tally:
    """The same on disks whose power is cut at that point. The mail has a disk of its own: on the
    ledger's, each sync of the ledger would make everything else durable as well, and hide a sync
    that is missing."""
    tally = Tally()
    with Disk() as disk, Disk() as mail:
        for death in deaths:
            number = next(_numbers)
            place = mail.mounted / f"life{number}"
            place.mkdir()
            scene = Scene(disk.mounted / f"life{number}", dovecot, combination, number, mail=place)
            disk.sync()
            mail.sync()  # what was there before the program was started

            def restored() -> None:
                disk.restore()
                mail.restore()

            powered = replace(death, power=(str(disk.mounted), str(mail.mounted)))
            tally.add(death, *survive(scene, nursery, powered, restored=restored))
    return tally
