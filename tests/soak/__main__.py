"""`make soak`: an hour of it, or as long as SECONDS says; ARGS="--seed 7 --kinds power,full" for
the same again."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from tests.soak.soak import SOON, Soak, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=20, help="messages a second")
    parser.add_argument("--mailboxes", type=int, default=48)
    parser.add_argument("--every", type=float, default=2, help="seconds between two faults, about")
    parser.add_argument(
        "--kinds", type=lambda text: text.split(","), default=(), help="these faults alone"
    )
    parser.add_argument("--log", type=Path, help="the program's, with the faults between its lines")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # disks are unmounted, servers stopped
    print(f"{options.seconds:.0f} s of faults, seed {options.seed}", flush=True)
    result = Soak(
        options.seconds,
        options.seed,
        rate=options.rate,
        mailboxes=options.mailboxes,
        fault_every=options.every,
        kinds=options.kinds,
        log=options.log,
    ).run()
    print("\n".join(table(result, options.seconds)))
    return 0 if result.clean and result.soon is not None and result.soon <= SOON else 1


if __name__ == "__main__":
    sys.exit(main())
