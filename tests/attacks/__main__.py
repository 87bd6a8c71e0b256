"""`python -m tests.attacks [WORD…]`: those whose class or example has one of the words, default all
of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.attacks.attacks import ATTACKS
from tests.attacks.field import Field, SecretCheck
from tests.servers.dovecot import Dovecot

HEALTH, MEMORY, LATE = 0.5, 64 << 20, 5.0
"""Seconds, octets, seconds: what an attack may cost at most."""


def attacked(words: Sequence[str], seconds: float) -> Iterator[tuple[tuple[str, str], SecretCheck]]:
    with (
        Dovecot() as dovecot,
        tempfile.TemporaryDirectory(prefix="attacks") as root,
        Field(dovecot, Path(root)) as field,
    ):
        for (kind, example), attack in ATTACKS.items():
            if not words or any(word in f"{kind} {example}" for word in words):
                yield (kind, example), field.watch(attack, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=12, help="of each, once it has taken hold")
    options = parser.parse_args()
    print(f"{'class':10} {'example':42} {'healthz s':>9} {'MB':>4} {'late s':>6}  said")
    bad = 0
    for (kind, example), seen in attacked(options.words, options.seconds):
        within = seen.health < HEALTH and seen.memory < MEMORY and seen.late < LATE
        bad += not within
        print(
            f"{kind:10} {example:42} {seen.health:9.2f} {seen.memory >> 20:4} {seen.late:6.1f}"
            f"{' ' if within else '!'} {seen.said[:110]}",
            flush=True,
        )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
