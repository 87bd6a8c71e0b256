"""How many messages the next session would delete on the server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.control.due_deletions import due_deletions
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.model.status import ShownSession

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def session(
    collected: int, before: int, deleted: int, outcome: Outcome = Outcome.SUCCEEDED
) -> ShownSession:
    return ShownSession.of(
        SessionReport(
            NOW,
            NOW,
            outcome,
            listed=collected + before,
            collected=collected,
            skipped_reasons={"collected-before": before},
            deleted=deleted,
        )
    )


@pytest.mark.parametrize("mode", ["new-delete", "all-delete"])
def test_what_was_collected_and_not_deleted_is_due(mode: str) -> None:
    assert due_deletions(mode, [session(3, 4, 5)], 100, 0) == 2
    assert due_deletions(mode, [session(3, 4, 7)], 100, 0) == 0


def test_doubtful_messages_and_a_history_that_was_cleared_are_not_due() -> None:
    assert due_deletions("new-delete", [session(3, 4, 5)], 100, 1) == 1
    assert due_deletions("new-delete", [session(3, 4, 0)], 0, 0) == 0


def test_the_last_session_that_saw_the_account_counts() -> None:
    away = session(0, 0, 0, Outcome.FAILED)
    assert due_deletions("new-delete", [away, session(3, 0, 1)], 100, 0) == 2
    assert due_deletions("new-delete", [away], 100, 0) is None


@pytest.mark.parametrize("mode", ["new-keep", ""])
def test_a_mode_that_deletes_nothing_has_none_due(mode: str) -> None:
    assert due_deletions(mode, [session(3, 4, 5)], 100, 0) is None
