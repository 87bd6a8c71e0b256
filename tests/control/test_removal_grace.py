"""Missing is not gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.control.removal_grace import LONGEST, RemovalGrace

A, B = ("MailCollector", "a"), ("MailCollector", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def leaving_at() -> tuple[RemovalGrace, Callable[[float], None]]:
    clock = Clock()
    leaving = RemovalGrace(1.0, clock)
    assert leaving.look({A, B}, changed=True) == frozenset()

    def at(moment: float) -> None:
        clock.now = moment

    return leaving, at


def test_what_is_missing_is_gone_after_a_while_without_changes(
    leaving_at: tuple[RemovalGrace, Callable[[float], None]],
) -> None:
    leaving, at = leaving_at
    assert leaving.look({B}, changed=True) == {A}
    at(0.75)
    assert leaving.pause == 0.25
    assert leaving.look({B}, changed=True) == {A}
    at(1.5)
    assert leaving.look({B}, changed=False) == {A}
    at(1.75)
    assert leaving.look({B}, changed=False) == frozenset()
    assert leaving.pause == float("inf")


def test_what_comes_back_was_never_gone(
    leaving_at: tuple[RemovalGrace, Callable[[float], None]],
) -> None:
    leaving, at = leaving_at
    assert leaving.look(frozenset(), changed=True) == {A, B}
    at(0.5)
    assert leaving.look({A}, changed=True) == {B}
    assert leaving


def test_unrest_does_not_keep_it_for_ever(
    leaving_at: tuple[RemovalGrace, Callable[[float], None]],
) -> None:
    leaving, at = leaving_at
    assert leaving.look({B}, changed=True) == {A}
    at(LONGEST)
    assert leaving.look({B}, changed=True) == frozenset()


def test_without_patience_it_is_gone_at_once() -> None:
    leaving = RemovalGrace(0.0, Clock())
    leaving.look({A}, changed=True)
    assert leaving.look(frozenset(), changed=True) == frozenset()
    assert not leaving
