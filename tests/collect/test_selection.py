"""What a session attempts, within its limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.collect.known_listing import KnownListing
from reconciler.collect.selection import ROUND_COUNT, ROUND_OCTETS, Attempt, rounds, select, shares
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState

IMAP = Account("imap", "imap.example.org", 993, "user")
POP3 = Account("pop3", "pop.example.org", 995, "user")


def listing(count: int, account: Account = IMAP, name: str = "INBOX", size: int = 1000) -> Listing:
    return Listing(
        Folder(account, name, 1), tuple(Listed(str(uid), size) for uid in range(1, count + 1))
    )


def beside(listing: Listing, entries: dict[str, Entry]) -> KnownListing:
    return KnownListing(listing, listing.folder, entries)


def known(state: MessageState, *keys: int, deleted: bool = False) -> dict[str, Entry]:
    return {str(key): Entry(str(key), state, attempts=1, deleted=deleted) for key in keys}


def test_the_oldest_come_first_and_the_rest_is_left() -> None:
    chosen = select([beside(listing(300), {})], deletes=False, limit=100, max_size=10_000)
    assert [attempt.listed.key for attempt in chosen.folders[0].attempts] == [
        str(uid) for uid in range(1, 101)
    ]
    assert (chosen.listed, chosen.left) == (300, 200)


def test_collected_too_large_and_parked_take_no_part_in_the_limit() -> None:
    messages = (
        Listed("1", 10),
        Listed("2", 99_999),
        Listed("3", 10),
        Listed("4", None),
        Listed("5", 10),
    )
    entries = known(MessageState.COLLECTED, 1) | known(MessageState.PARKED, 3)
    chosen = select(
        [beside(Listing(Folder(IMAP, "INBOX", 1), messages), entries)],
        deletes=False,
        limit=2,
        max_size=10_000,
    )
    assert [attempt.listed.key for attempt in chosen.folders[0].attempts] == ["4", "5"]
    assert (chosen.skipped, chosen.parked, chosen.left) == (
        {"collected-before": 1, "too-large": 1},
        1,
        0,
    )


def test_recorded_messages_are_deleted_in_the_modes_that_delete() -> None:
    entries = known(MessageState.COLLECTED, 1, 3)
    kept = select([beside(listing(3), entries)], deletes=False, limit=0, max_size=10_000)
    deleted = select([beside(listing(3), entries)], deletes=True, limit=0, max_size=10_000)
    assert kept.folders[0].delete == ()
    assert [message.key for message in deleted.folders[0].delete] == ["1", "3"]


def test_retries_take_at_most_a_tenth_and_come_after_the_new() -> None:
    chosen = select(
        [beside(listing(300), known(MessageState.FAILED, *range(1, 51)))],
        deletes=False,
        limit=100,
        max_size=10_000,
    )
    keys = [int(attempt.listed.key) for attempt in chosen.folders[0].attempts]
    assert keys == [*range(51, 141), *range(1, 11)]
    assert chosen.left == 200


def test_a_small_limit_does_not_let_retries_starve_the_new_nor_stop_for_ever() -> None:
    assert shares(new=5, retries=5, limit=1) == (1, 0)
    assert shares(new=0, retries=5, limit=1) == (0, 1)
    assert shares(new=5, retries=5, limit=0) == (5, 5)
    assert shares(new=50, retries=50, limit=100) == (50, 10)


def test_a_uidl_that_returns_after_its_deletion_is_looked_into_and_a_uid_is_not() -> None:
    entries = known(MessageState.COLLECTED, 1, deleted=True)
    pop3 = select([beside(listing(1, POP3), entries)], deletes=True, limit=0, max_size=10_000)
    imap = select([beside(listing(1, IMAP), entries)], deletes=True, limit=0, max_size=10_000)
    assert [attempt.occurrence for attempt in pop3.folders[0].attempts] == [1]
    assert [message.key for message in imap.folders[0].delete] == ["1"]


def entry(state: MessageState, **more: Any) -> Entry:
    return Entry("1", state, **more)


BIG, SMALL, UNKNOWN = 10_001, 10_000, None


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize(
    ("size", "known", "counted", "counted_where_deleted"),
    [
        (SMALL, None, "attempt", ""),
        (UNKNOWN, None, "attempt", ""),
        (BIG, None, "too-large", ""),
        (BIG, entry(MessageState.FAILED, attempts=1), "too-large", ""),
        (BIG, entry(MessageState.PARKED), "parked", ""),
        (SMALL, entry(MessageState.FAILED, attempts=1), "attempt", ""),
        (SMALL, entry(MessageState.UNFETCHED, attempts=1), "suspect", ""),
        (SMALL, entry(MessageState.SUSPECT), "suspect", ""),
        (SMALL, entry(MessageState.LISTED), "attempt", ""),
        (SMALL, entry(MessageState.BEGUN), "attempt", ""),
        (SMALL, entry(MessageState.PAUSED, attempts=5), "paused", ""),
        (SMALL, entry(MessageState.FAILED, attempts=1, wait=9.0), "paused", ""),
        (BIG, entry(MessageState.PAUSED, attempts=5), "paused", ""),
        (BIG, entry(MessageState.COLLECTED), "collected-before", "collected-before, deleted"),
        (BIG, entry(MessageState.COLLECTED, reason="doubt"), "collected-before", ""),
        (SMALL, entry(MessageState.COLLECTED, attempts=3, wait=9.0), "collected-before", "deleted"),
        (SMALL, entry(MessageState.PRESUMED), "collected-before", "attempt"),
        (UNKNOWN, entry(MessageState.PRESUMED), "collected-before", "attempt"),
        (BIG, entry(MessageState.PRESUMED), "collected-before", "too-large"),
        (SMALL, entry(MessageState.PRESUMED, reason="doubt"), "collected-before", ""),
        (BIG, entry(MessageState.PRESUMED, reason="doubt"), "collected-before", ""),
    ],
)
def test_how_a_message_counts(
    size: int | None, known: Entry | None, counted: str, counted_where_deleted: str, deletes: bool
) -> None:
    messages = Listing(Folder(IMAP, "INBOX", 1), (Listed("1", size),))
    entries = {} if known is None else {"1": known}
    chosen = select([beside(messages, entries)], deletes=deletes, limit=0, max_size=10_000)
    (work,) = chosen.folders
    expected = counted_where_deleted or counted if deletes else counted
    if expected == "deleted":
        expected = "collected-before, deleted"
    assert expected == ", ".join(
        name
        for name, count in {
            "attempt": len(work.attempts),
            "suspect": len(work.suspects),
            "collected-before": chosen.skipped["collected-before"],
            "too-large": chosen.skipped["too-large"],
            "paused": chosen.paused,
            "parked": chosen.parked - chosen.paused,
            "left": chosen.left,
            "deleted": len(work.delete),
        }.items()
        if count
    )


@pytest.mark.parametrize(
    ("limit", "attempted", "suspected"),
    [
        (1, [], ["1"]),
        (2, ["6"], ["1"]),
        (4, ["6", "7"], ["1", "2"]),
        (6, ["6", "7", "8"], ["1", "2", "3"]),
        (7, ["6", "7", "8"], ["1", "2", "3", "4"]),
        (8, ["6", "7", "8"], ["1", "2", "3", "4", "5"]),
        (0, ["6", "7", "8"], ["1", "2", "3", "4", "5"]),
    ],
)
def test_suspects_take_at_most_half_of_the_limit_where_there_is_other_mail(
    limit: int, attempted: list[str], suspected: list[str]
) -> None:
    entries = {str(key): Entry(str(key), MessageState.SUSPECT) for key in range(1, 6)}
    chosen = select([beside(listing(8), entries)], deletes=False, limit=limit, max_size=10_000)
    (work,) = chosen.folders
    assert [attempt.listed.key for attempt in work.attempts] == attempted
    assert [attempt.listed.key for attempt in work.suspects] == suspected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["new", "failed", "parked", "collected", "large"]), st.integers(0, 2)
        ),
        max_size=60,
    ),
    st.integers(0, 20),
)
def test_every_listed_message_is_counted_once(messages: list[tuple[str, int]], limit: int) -> None:
    states = {
        "failed": MessageState.FAILED,
        "parked": MessageState.PARKED,
        "collected": MessageState.COLLECTED,
    }
    folders = []
    for number in range(3):
        mine = [(str(uid), kind) for uid, (kind, folder) in enumerate(messages) if folder == number]
        listed = tuple(Listed(key, 9999 if kind == "large" else 10) for key, kind in mine)
        entries = {key: Entry(key, states[kind]) for key, kind in mine if kind in states}
        folders.append(beside(Listing(Folder(IMAP, f"folder{number}", 1), listed), entries))
    chosen = select(folders, deletes=True, limit=limit, max_size=1000)
    attempts = sum(len(work.attempts) for work in chosen.folders)
    assert chosen.listed == attempts + sum(chosen.skipped.values()) + chosen.parked + chosen.left
    assert limit == 0 or attempts <= limit


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        pytest.param([1] * (ROUND_COUNT + 1), [ROUND_COUNT, 1], id="many small ones"),
        pytest.param([None] * 16385, [5000, 5000, 5000, 1385], id="many of unknown size"),
        pytest.param([ROUND_OCTETS // 2] * 3, [2, 1], id="two that just fit"),
        pytest.param([ROUND_OCTETS, 1], [1, 1], id="one that just fits"),
        pytest.param([ROUND_OCTETS + 1, 1], [1, 1], id="one that is larger"),
        pytest.param([None, *[(ROUND_OCTETS >> 10) - 64] * 1024], [1025], id="unknown, just fits"),
        pytest.param(
            [None, *[(ROUND_OCTETS >> 10) - 63] * 1024], [1024, 1], id="unknown, too large"
        ),
        pytest.param([], [], id="none"),
    ],
)
def test_rounds_are_as_large_as_they_may_be(sizes: list[int | None], cut: list[int]) -> None:
    attempts = [Attempt(Listed(str(number), size)) for number, size in enumerate(sizes)]
    assert [len(each) for each in rounds(attempts)] == cut


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 2 * ROUND_OCTETS)), max_size=300),
    st.integers(0, ROUND_COUNT),
)
def test_rounds_keep_the_order_and_their_bounds(sizes: list[int | None], more: int) -> None:
    attempts = [
        Attempt(Listed(str(number), size)) for number, size in enumerate([*sizes, *[1] * more])
    ]
    cut = list(rounds(attempts))
    assert [attempt for each in cut for attempt in each] == attempts
    assert all(
        len(each) == 1 or sum(a.listed.size or 0 for a in each) <= ROUND_OCTETS for each in cut
    )
    assert all(1 <= len(each) <= ROUND_COUNT for each in cut)
