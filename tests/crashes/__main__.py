"""`make crashwalk`: every point of every combination, and the same points with power cuts for two
of them. `python -m tests.crashes maildir`: those of Maildirs only."""

from __future__ import annotations

import sys
import time
from typing import get_args

from tests.crashes.nursery import Nursery
from tests.crashes.scene import COMBINATIONS, OWNED, Combination, Tally, Target
from tests.crashes.strace import CALLS, walk_with_strace
from tests.crashes.walk import every_point, steps_of, walk, walk_with_power_cuts
from tests.servers.dovecot import Dovecot

POWER = [Combination("new-delete", "imap", "maildir"), OWNED[1]]


def main() -> int:
    tallies: dict[Combination, list[Tally]] = {}
    chosen = [
        each
        for each in [*COMBINATIONS, *OWNED]
        if each.target in (sys.argv[1:] or get_args(Target))
    ]
    print(f"{'combination':42} {'points':>6} {'lost':>5} {'doubled':>7} {'s':>5}")

    def tell(combination: Combination, kind: str, tally: Tally, began: float) -> None:
        print(
            f"{f'{combination}{kind}':42} {tally.points:6} {tally.lost:5} {tally.doubled:7} "
            f"{time.monotonic() - began:5.0f}",
            flush=True,
        )
        tallies.setdefault(combination, []).append(tally)

    with Dovecot() as dovecot, Nursery() as nursery:
        for combination in chosen:
            began = time.monotonic()
            deaths = every_point(steps_of(combination, dovecot, nursery))
            tell(combination, "", walk(combination, deaths, dovecot, nursery), began)
        for combination in set(POWER) & set(chosen):
            began = time.monotonic()
            deaths = every_point(steps_of(combination, dovecot, nursery))
            tell(
                combination,
                ", power cut",
                walk_with_power_cuts(combination, deaths, dovecot, nursery),
                began,
            )
        for combination in [each for each in chosen if each.target == "maildir"]:
            began = time.monotonic()
            tell(
                combination,
                ", strace",
                walk_with_strace(combination, CALLS, dovecot, nursery),
                began,
            )
    print(
        "By LMTP a message counts as doubled when it was in flight and came twice, with the same "
        "X-Collector-Id."
    )
    return int(
        any(
            tally.lost or (tally.doubled and combination.target == "maildir")
            for combination, found in tallies.items()
            for tally in found
        )
    )


if __name__ == "__main__":
    sys.exit(main())
