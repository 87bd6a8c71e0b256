"""When a destination that puts messages off gets no more of them in this session."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.collect.known_listing import KnownListing
from reconciler.collect.message_batches import DEFERRALS
from reconciler.collect.selection import select
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.model.outcomes import (
    Deferred,
    Delivered,
    DeliveryOutcome,
    Entry,
    MessageState,
    Outcome,
)
from tests.collect.world import Server, World, everything_to


@pytest.mark.parametrize(
    ("verdicts", "asked", "single"),
    [
        pytest.param("d" * DEFERRALS + "ok", DEFERRALS, True, id="so many in a row"),
        pytest.param("o" + "d" * (DEFERRALS - 1) + "ok", DEFERRALS + 2, True, id="one less"),
        pytest.param(
            "o" + "d" * DEFERRALS + "ok", DEFERRALS + 1, True, id="so many after one that went"
        ),
        pytest.param("do" * DEFERRALS, 2 * DEFERRALS, True, id="every second one"),
        pytest.param("d" * DEFERRALS + "ok", DEFERRALS + 2, False, id="of one mailbox of many"),
    ],
)
def test_deferrals_in_a_row_end_fetching(verdicts: str, asked: int, single: bool) -> None:
    texts = {str(uid): b"Subject: %d\r\n\r\n" % uid for uid in range(1, len(verdicts) + 1)}
    made = World(Server(messages=texts), batch_size=1)
    made.task = replace(made.task, single=single, route=everything_to("a@here"))
    said: list[str] = []

    def verdict(recipient: str) -> DeliveryOutcome:
        said.append(verdicts[len(said)])
        if said[-1] == "d":
            return Deferred(recipient, "452 later")
        return Delivered(recipient, "file")

    made.verdict = verdict
    report = made.session()
    assert len(said) == asked
    assert (report.outcome is Outcome.SUCCEEDED) is (asked == len(verdicts))


def test_a_paused_message_is_counted_among_the_parked_and_told_apart() -> None:
    listed = (Listed("1", 10), Listed("2", 10), Listed("3", 10))
    folder = Folder(Account("imap", "imap.example", 993, "u"), "INBOX", 1)
    entries = {
        "1": Entry("1", MessageState.PAUSED, attempts=2),
        "2": Entry("2", MessageState.PARKED),
        "3": Entry("3", MessageState.FAILED, attempts=1, wait=60.0),
    }
    known = KnownListing(Listing(folder, listed), folder, entries)
    chosen = select([known], deletes=False, limit=0, max_size=100)
    assert (chosen.parked, chosen.paused, chosen.attempts) == (3, 2, 0)
    again = select([known], deletes=False, limit=0, max_size=100, due=lambda _: True)
    assert (again.parked, again.paused, again.attempts) == (1, 0, 2)


def test_a_message_as_large_as_it_may_be_is_collected() -> None:
    folder = Folder(Account("imap", "imap.example", 993, "u"), "INBOX", 1)
    listed = (Listed("1", 10), Listed("2", 11))
    presumed = {key: Entry(key, MessageState.PRESUMED) for key in ("1", "2")}
    for entries in ({}, presumed):
        known = KnownListing(Listing(folder, listed), folder, entries)
        [work] = select([known], deletes=True, limit=0, max_size=10).folders
        assert [attempt.listed.key for attempt in work.attempts] == ["1"]
