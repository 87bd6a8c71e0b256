"""What becomes of an account in many situations is what `session_table.txt` says."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.collect.session_table import SITUATIONS, TABLE, lines


def by_situation(told: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    situation = ""
    for heading, group in groupby(told, lambda line: line.startswith("== ")):
        if heading:
            *_, last = group
            situation = last.removeprefix("== ").partition(" · ")[0]
            found.setdefault(situation, []).append(last)
        else:
            found[situation] += group
    return found


KEPT = by_situation(TABLE.read_text().splitlines())


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_sessions_of_a_situation_are_as_in_the_table(situation: str) -> None:
    """`python -m tests.collect.session_table` writes the table anew."""
    assert by_situation(list(lines(situation))) == {situation: KEPT[situation]}


def test_the_table_has_no_other_situations() -> None:
    assert [*KEPT] == [*SITUATIONS]
