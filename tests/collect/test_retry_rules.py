"""What becomes of messages that do not come, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.collect.retry_rules import next_step, state_after_deferral
from reconciler.model.outcomes import MessageState

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
