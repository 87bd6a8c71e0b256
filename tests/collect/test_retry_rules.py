"""What becomes of messages that do not come, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.collect.retry_rules import (
    is_due,
    is_proven,
    is_suspect,
    next_step,
    pause_length,
    requested_wait,
    state_after_deferral,
    state_after_fetch_failure,
)
from reconciler.model.outcomes import Entry, MessageState

LATER = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "attempts", "until", "told"),
    [
        (MessageState.FAILED, 3, None, "the next session tries again"),
        (MessageState.FAILED, 3, LATER, "the first session after 2026-01-01 12:30 UTC tries again"),
        (MessageState.SUSPECT, 0, None, "the next session asks for it by itself, last"),
        (MessageState.UNFETCHED, 3, None, "by itself; parked after 2 more failures"),
        (MessageState.UNFETCHED, 4, None, "by itself; parked after 1 more failure"),
        (MessageState.UNFETCHED, 5, None, "the next session tries again"),
    ],
)
def test_what_happens_next(
    state: MessageState, attempts: int, until: datetime | None, told: str
) -> None:
    found = next_step(state, attempts, until).removesuffix(", as the receiver asked")
    assert found.endswith(told)


@pytest.mark.parametrize(
    ("attempts", "unsure", "state"),
    [
        (1, False, MessageState.FAILED),
        (2, False, MessageState.FAILED),
        (1, True, MessageState.FAILED),
        (2, True, MessageState.PAUSED),
    ],
)
def test_only_a_second_delivery_without_an_answer_is_followed_by_a_pause(
    attempts: int, unsure: bool, state: MessageState
) -> None:
    assert state_after_deferral(attempts, unsure=unsure) is state


def test_a_pause_grows_to_a_day() -> None:
    minutes = [0, 0, 5, 15, 30, 60, 120, 240, 480, 960, 1440, 1440]
    assert [pause_length(attempts) for attempts in range(12)] == [
        timedelta(minutes=m) for m in minutes
    ]
    assert pause_length(-1) == timedelta()
    assert pause_length(1000) == timedelta(days=1)


def test_a_receiver_may_ask_for_a_day_at_most() -> None:
    asked = [None, 0.0, 0.5, 90.0, 86_400.0, 86_401.0, 1e9]
    assert [requested_wait(seconds) / timedelta(seconds=1) for seconds in asked] == [
        0.0,
        0.0,
        0.5,
        90.0,
        86_400.0,
        86_400.0,
        86_400.0,
    ]


@pytest.mark.parametrize(
    ("state", "attempts", "wait", "waits"),
    [
        (MessageState.PAUSED, 5, None, 3600),
        (MessageState.PAUSED, 2, None, 300),
        (MessageState.PAUSED, 2, 200.0, 300),
        (MessageState.PAUSED, 2, 400.0, 400),
        (MessageState.FAILED, 5, 400.0, 400),
        (MessageState.FAILED, 5, None, 0),
        (MessageState.PAUSED, 1, None, 0),
    ],
)
def test_a_message_is_due_when_its_waits_are_over(
    state: MessageState, attempts: int, wait: float | None, waits: int
) -> None:
    entry = Entry("1", state, attempts=attempts, at=LATER, wait=wait)
    end = LATER + timedelta(seconds=waits)
    assert is_due(entry, end)
    assert is_due(entry, end - timedelta(microseconds=1)) is (waits == 0)
    assert is_due(entry, LATER) is (waits == 0)
    assert is_due(entry, LATER - timedelta(microseconds=1)), "the clock was set back"
    assert is_due(Entry("1", state, attempts=attempts, wait=wait), LATER)


@pytest.mark.parametrize(
    ("entry", "suspect", "proven"),
    [
        (None, False, False),
        (Entry("1", MessageState.SUSPECT), True, False),
        (Entry("1", MessageState.SUSPECT, reason="gone"), True, True),
        (Entry("1", MessageState.SUSPECT, attempts=1, reason="gone"), True, False),
        (Entry("1", MessageState.SUSPECT, attempts=1), True, False),
        (Entry("1", MessageState.UNFETCHED), True, True),
        (Entry("1", MessageState.PAUSED), True, True),
        (Entry("1", MessageState.FAILED, reason="450"), False, False),
        (Entry("1", MessageState.PARKED, reason="550"), False, False),
    ],
)
def test_who_is_asked_for_alone_and_who_failed_where_others_came(
    entry: Entry | None, suspect: bool, proven: bool
) -> None:
    assert (is_suspect(entry), is_proven(entry)) == (suspect, proven)


@pytest.mark.parametrize(
    ("attempts", "lost", "state"),
    [
        (1, False, MessageState.UNFETCHED),
        (4, True, MessageState.UNFETCHED),
        (5, False, MessageState.PARKED),
        (5, True, MessageState.PAUSED),
        (6, False, MessageState.PARKED),
    ],
)
def test_after_five_failures_alone_a_message_waits(
    attempts: int, lost: bool, state: MessageState
) -> None:
    assert state_after_fetch_failure(attempts, lost=lost) is state
