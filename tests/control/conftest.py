"""Every transition that a loop makes in these tests has to be in the table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.control import collector_loop
from reconciler.control.loop_state import IllegalTransition, LoopState, check_transition


@pytest.fixture(autouse=True)
def transitions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[LoopState, LoopState]]]:
    """Those that were made. An illegal one, which a daemon would only log and count, fails."""
    made: list[tuple[LoopState, LoopState]] = []
    illegal: list[str] = []

    def check(before: LoopState, after: LoopState) -> None:
        made.append((before, after))
        try:
            check_transition(before, after)
        except IllegalTransition as error:
            illegal.append(str(error))
            raise

    monkeypatch.setattr(collector_loop, "check_transition", check)
    yield made
    assert not illegal
