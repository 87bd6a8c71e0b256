"""Large listings wait for each other; small ones never do, and one always goes on."""

from __future__ import annotations

import threading
import time

import pytest

from reconciler.model.errors import ConnectionFailed, Crowded
from reconciler.wire.listing_budget import FREE, ListingBudget, ListingShare


def share(budget: ListingBudget, seconds: float = 60) -> ListingShare:
    return ListingShare(budget, "mail.example", time.monotonic() + seconds)


def listed(found: ListingShare, messages: int, *, at_once: int = 500) -> None:
    for _ in range(0, messages, at_once):
        found.take(at_once)


def test_small_ones_never_wait() -> None:
    budget = ListingBudget(shared=0, waiting=0)
    oldest = share(budget)
    listed(oldest, 1_000_000)
    for _ in range(100):
        listed(share(budget), FREE)
    assert budget.reserved <= 1_100_000


def test_all_get_their_turn_and_together_they_are_bounded() -> None:
    """Eight that begin at once, each larger than what is shared."""
    budget = ListingBudget(shared=100_000, waiting=8)
    most: list[int] = []

    def one() -> None:
        mine = share(budget)
        try:
            listed(mine, 300_000)
            most.append(budget.reserved)
        finally:
            mine.release()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 8
    assert max(most) <= 300_000 + 20_000 + 100_000
    assert budget.reserved == 0


@pytest.mark.parametrize("way", ["released", "forgotten", "given up", "time is up"])
def test_there_is_no_way_out_without_a_release(way: str) -> None:
    budget = ListingBudget(shared=0, waiting=2)
    oldest, waiting = share(budget), share(budget, 0.05 if way == "time is up" else 60)
    listed(oldest, FREE + 500)
    reasons: list[str] = []

    def wait() -> None:
        try:
            listed(waiting, FREE + 500)
        except (ConnectionFailed, Crowded) as error:
            reasons.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    if way == "released":
        oldest.release()
    elif way == "forgotten":
        del oldest
    elif way == "given up":
        waiting.give_up()
        waiting.release()  # as whoever breaks a session off does, in another thread
    thread.join(30)
    assert not thread.is_alive()
    told = {
        "given up": "the session was aborted",
        "time is up": (
            "the session's time is up, waiting for other mailboxes with very many messages to be "
            "listed"
        ),
    }
    assert reasons == ([f"mail.example: {told[way]}"] if way in told else [])
    waiting.release()
    waiting.release()
    assert budget.reserved == (20_000 if way in ("given up", "time is up") else 0)


def test_no_more_wait_than_there_is_place_for() -> None:
    budget = ListingBudget(shared=0, waiting=0)
    oldest, next_ = share(budget), share(budget)
    listed(oldest, FREE + 500)
    with pytest.raises(Crowded, match="this one is listed later"):
        listed(next_, FREE + 500)
    oldest.release()
    listed(next_, FREE + 500)
