"""What answers of an authorization server mean, and where secrets go, is in `answer_table.txt`."""

from __future__ import annotations

from tests.secrets.answer_table import TABLE, lines


def test_answers_mean_what_the_table_says() -> None:
    """`python -m tests.secrets.answer_table` writes the table anew."""
    assert list(lines()) == TABLE.read_text().splitlines()
