"""What is listed of a maildrop is in `maildrop_table.txt`."""

from __future__ import annotations

from tests.sources.maildrop_table import TABLE, lines


def test_maildrops_are_listed_as_in_the_table() -> None:
    """`python -m tests.sources.maildrop_table` writes the table anew."""
    assert list(lines()) == TABLE.read_text().splitlines()
