"""Hazard D13 over the real program, a real server and a real disk: one step of every kind by every
protocol and to every destination, the decisive ones in every mode. `make crashwalk` walks them all.
"""

from __future__ import annotations

from typing import get_args

import pytest

from tests.crashes.nursery import Nursery
from tests.crashes.scene import COMBINATIONS, MAILS, OWNED, Combination, Mode
from tests.crashes.strace import walk_with_strace
from tests.crashes.walk import each_kind, steps_of, walk, walk_with_power_cuts
from tests.servers.dovecot import Dovecot

OUTSIDE = {
    "maildir": {
        "create",
        "write",
        "fsync file",
        "fsync directory",
        "link",
        "unlink",
        "commit messages",
    },
    "lmtp": {"send MAIL", "send DATA", "send dot", "answer to dot", "commit messages"},
    "imap": {"send UID STORE", "answer to UID STORE", "send UID EXPUNGE", "answer to UID EXPUNGE"},
    "pop3": {"send DELE", "answer to DELE", "send QUIT", "answer to QUIT"},
}
"""Steps without which a walk would prove nothing."""


@pytest.mark.parametrize(
    "combination", [*COMBINATIONS, OWNED[1]], ids=lambda each: str(each).replace(" ", "-")
)
def test_D13_killed_at_a_step_of_every_kind(
    combination: Combination, dovecot: Dovecot, nursery: Nursery
) -> None:
    steps = steps_of(combination, dovecot, nursery)
    decisive = OUTSIDE[combination.target]
    if combination.mode != "new-keep":
        decisive = decisive | OUTSIDE[combination.protocol]
    deaths = list(each_kind(steps, decisive, get_args(Mode).index(combination.mode)))
    tally = walk(combination, deaths, dovecot, nursery)

    assert decisive <= {kind for kind, met in tally.kinds.items() if met}
    assert len(steps) >= 20
    assert tally.points >= len({death.kind for death in deaths}) > len(decisive)
    assert tally.lost == 0
    if combination.target == "maildir":
        assert tally.doubled == 0


def test_D13_killed_from_outside_by_strace(dovecot: Dovecot, nursery: Nursery) -> None:
    combination = Combination("new-delete", "pop3", "maildir")
    tally = walk_with_strace(combination, {"linkat": 1, "fdatasync": 5}, dovecot, nursery)

    assert tally.kinds["linkat"] >= len(MAILS)
    assert tally.kinds["fdatasync"] >= 3
    assert (tally.lost, tally.doubled) == (0, 0)


def test_D13_the_power_is_cut_at_a_step_of_every_kind(dovecot: Dovecot, nursery: Nursery) -> None:
    combination = Combination("new-delete", "imap", "maildir")
    tally = walk_with_power_cuts(
        combination, each_kind(steps_of(combination, dovecot, nursery)), dovecot, nursery
    )

    assert tally.points > 20
    assert (tally.lost, tally.doubled) == (0, 0)
