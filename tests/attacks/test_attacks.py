"""The shortest form of `python -m tests.attacks`: one of each class, for a moment."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.attacks import ATTACKS
from tests.attacks.field import Field
from tests.servers.dovecot import Dovecot

CHOSEN = [
    ("files", "FIFOs, devices, links that leave"),
    ("patterns", "a folder pattern of 40 stars"),
    ("floods", "300,000 empty literals"),
    ("tokens", "gzip twice, 256 MB"),
    ("secrets", "a CA file that is /dev/zero"),
    ("slow", "8 silent hosts, 64 collectors"),
    ("neighbours", "400 half-open requests"),
]
FROZEN = 10.0
"""Seconds without an answer that no machine is slow enough for."""


def test_N_B_one_of_each_class_costs_the_others_little(dovecot: Dovecot, tmp_path: Path) -> None:
    with Field(dovecot, tmp_path) as field:
        for chosen in CHOSEN:
            seen = field.watch(ATTACKS[chosen], seconds=1)
            assert seen.health < FROZEN, (chosen, seen)
            assert seen.memory < 64 << 20, (chosen, seen)


def test_every_class_is_in_the_short_form() -> None:
    assert {kind for kind, _ in CHOSEN} == {kind for kind, _ in ATTACKS}
