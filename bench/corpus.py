"""The mail that is measured with: the same in every run, with sizes as they are in mailboxes."""

from __future__ import annotations

import random

from tests.servers import mail

SMALL = 1_500


def letters(count: int) -> list[bytes]:
    """Median about 8 kB, one in fourteen with an attachment, one in a hundred from 0.4 to 4 MB."""
    # no secrets
    return [mail.message(number, _size(random.Random(number))) for number in range(count)]  # noqa: S311


def small(count: int) -> list[bytes]:
    return [mail.message(number, SMALL) for number in range(count)]


def _size(dice: random.Random) -> int:
    kind = dice.random()
    if kind < 0.01:
        return int(400_000 * 10 ** dice.random())
    median, spread = (90_000, 0.9) if kind < 0.075 else (7_700, 0.8)
    return int(min(400_000, max(1_500, median * dice.lognormvariate(0, spread))))
