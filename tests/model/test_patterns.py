"""Patterns for folders: the same names as always, in time that grows with their length and no
faster."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.folder_patterns import Pattern, is_pattern
from tests.steps import lines_run


@given(st.text("ab/*%", max_size=8), st.text("ab/\n", max_size=9))
def test_a_pattern_matches_what_the_expression_for_it_does(pattern: str, name: str) -> None:
    words = [{"*": ".*", "%": "[^/]*"}.get(part, re.escape(part)) for part in pattern]
    assert Pattern(pattern).matches(name) == bool(re.fullmatch("".join(words), name, re.DOTALL))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("Lists/*", "Lists/a/b"),
        ("Lists/%", "Lists/a"),
        ("*", ""),
        ("%", ""),
        ("*%*", "a/b"),
        ("%/%", "a/b"),
        ("*a*b", "xaxb"),
        ("Почта/*", "Почта/a"),
        ("a", "a"),
        ("*a%b", "a/ab"),
    ],
)
def test_what_a_pattern_matches(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("Lists/%", "Lists/a/b"),
        ("%", "a/b"),
        ("a", "ab"),
        ("*b", "a"),
        ("a*", "b"),
        ("", "a"),
        ("*a%b", "a/b"),
    ],
)
def test_what_a_pattern_does_not_match(pattern: str, name: str) -> None:
    assert not Pattern(pattern).matches(name)


def test_only_wildcards_make_a_pattern() -> None:
    assert [is_pattern(name) for name in ("a*", "%", "a?", "[a]", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("piece", ["*a", "%a", "*a%a", "*%a", "*aa%a", "*/%", "%/*a"])
def test_a_pattern_that_nearly_matches_costs_no_more_than_its_length_says(piece: str) -> None:
    """Each doubling of both sides at most doubles the steps: "*a*a*a…b" against many "a" once froze
    the process."""
    steps = []
    for count in (250, 500, 1000, 2000):
        pattern, name = (
            Pattern(piece * count + "b"),
            piece.replace("*", "a").replace("%", "a") * count,
        )
        steps.append(lines_run(lambda pattern=pattern, name=name: pattern.matches(name)))  # type: ignore[misc]
    assert all(after < 2.2 * before for before, after in pairwise(steps)), steps
