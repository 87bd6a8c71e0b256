"""What replies mean is in `reply_table.txt`."""

from __future__ import annotations

from tests.destinations.reply_table import TABLE, lines


def test_replies_mean_what_the_table_says() -> None:
    """`python -m tests.destinations.reply_table` writes the table anew."""
    assert list(lines()) == TABLE.read_text().splitlines()
