"""`make soak`: an hour of it, or as long as SECONDS says."""

from __future__ import annotations

import argparse
import random
import sys

from tests.soak.soak import Soak, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rate", type=float, default=20, help="messages a second")
    options = parser.parse_args()
    print(f"{options.seconds:.0f} s of faults, seed {options.seed}", flush=True)
    result = Soak(options.seconds, options.seed, rate=options.rate).run()
    print("\n".join(table(result, options.seconds)))
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
