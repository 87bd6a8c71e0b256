"""`make crashwalk`: every point of every combination, and the same points with power cuts for one of them."""

from __future__ import annotations

import sys
import time

from tests.crashes.nursery import Nursery
from tests.crashes.scene import COMBINATIONS, Combination, Tally
from tests.crashes.strace import CALLS, walk_with_strace
from tests.crashes.walk import every_point, steps_of, walk, walk_with_power_cuts
from tests.servers.dovecot import Dovecot

POWER = Combination("new-delete", "imap", "maildir")


def main() -> int:
    tallies: list[Tally] = []
    print(f"{'combination':32} {'points':>6} {'lost':>5} {'doubled':>7} {'s':>5}")
    with Dovecot() as dovecot, Nursery() as nursery:
        for combination in COMBINATIONS:
            began = time.monotonic()
            deaths = every_point(steps_of(combination, dovecot, nursery))
            tallies.append(_told(str(combination), walk(combination, deaths, dovecot, nursery), began))
        began = time.monotonic()
        deaths = every_point(steps_of(POWER, dovecot, nursery))
        tallies.append(_told(f"{POWER}, power cut", walk_with_power_cuts(POWER, deaths, dovecot, nursery), began))
        for combination in COMBINATIONS[:6]:
            began = time.monotonic()
            tally = walk_with_strace(combination, CALLS, dovecot, nursery)
            tallies.append(_told(f"{combination}, strace", tally, began))
    print("By LMTP a message counts as doubled when it was in flight and came twice, with the same X-Collector-Id.")
    maildirs = [*tallies[:6], *tallies[len(COMBINATIONS):]]
    return int(any(tally.lost for tally in tallies) or any(tally.doubled for tally in maildirs))


def _told(title: str, tally: Tally, began: float) -> Tally:
    print(f"{title:32} {tally.points:6} {tally.lost:5} {tally.doubled:7} {time.monotonic() - began:5.0f}", flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
