"""Listings of very many messages: chosen from without an object for each."""

from __future__ import annotations

import collections

import pytest

from reconciler.collect import selection
from reconciler.collect.known_listing import KnownListing
from reconciler.collect.selection import select
from reconciler.collect.session_context import NOTES, shown_notes
from reconciler.model.errors import Flooded, ProtocolViolation
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState
from reconciler.sources.imap import imap_listing as listings
from reconciler.sources.imap.imap_listing import SizesByUid

FOLDER = Folder(Account("imap", "h", 1, "u"), "INBOX", 7)


@pytest.mark.parametrize(("limit", "attempted"), [(5, 5), (30, 30), (0, 40)])
def test_what_is_beyond_those_that_are_looked_at_is_left(
    limit: int, attempted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "LOOKED_AT", 10)
    monkeypatch.setattr(selection, "UNLIMITED", 40)
    messages = tuple(Listed(str(uid), 10) for uid in range(1, 101))
    chosen = select(
        [KnownListing(Listing(FOLDER, messages), FOLDER, {})],
        deletes=False,
        limit=limit,
        max_size=100,
    )
    assert (chosen.listed, chosen.attempts, chosen.left) == (100, attempted, 100 - attempted)
    assert [attempt.listed.key for attempt in chosen.folders[0].attempts] == [
        str(uid + 1) for uid in range(attempted)
    ]


def test_a_message_that_somebody_wants_tried_again_is_looked_at_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "UNLIMITED", 10)
    messages = tuple(Listed(str(uid), 10) for uid in range(1, 51))
    again = {"40": Entry("40", MessageState.FAILED)}
    chosen = select(
        [KnownListing(Listing(FOLDER, messages), FOLDER, again)],
        deletes=False,
        limit=0,
        max_size=100,
    )
    assert "40" in [attempt.listed.key for attempt in chosen.folders[0].attempts]
    assert (chosen.attempts, chosen.left) == (11, 39)


def test_what_only_has_its_headers_in_the_ledger_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "UNLIMITED", 10)
    messages = tuple(Listed(str(uid), 10) for uid in range(1, 51))
    listed = {str(uid): Entry(str(uid), MessageState.LISTED) for uid in range(1, 51)}
    known = KnownListing(Listing(FOLDER, messages), FOLDER, listed)
    chosen = select([known], deletes=False, limit=0, max_size=100)
    assert (chosen.attempts, chosen.left) == (10, 40)


@pytest.mark.parametrize(("deletes", "kept"), [(True, 3), (False, 2)])
def test_of_what_was_collected_before_a_part_is_looked_at(
    deletes: bool, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "DELETED", 3)
    monkeypatch.setattr(selection, "PROBE_CANDIDATES", 2)
    messages = tuple(Listed(str(uid), 10) for uid in range(1, 9))
    entries = {str(uid): Entry(str(uid), MessageState.COLLECTED) for uid in range(1, 9)}
    known = KnownListing(Listing(FOLDER, messages), FOLDER, entries)
    chosen = select([known], deletes=deletes, limit=0, max_size=100)
    (work,) = chosen.folders
    assert [listed.key for listed in work.collected] == [str(uid + 1) for uid in range(kept)]
    assert len(work.delete) == (kept if deletes else 0)
    assert chosen.skipped == {"collected-before": 8}


def sizes(*listed: tuple[int, int | None]) -> SizesByUid:
    found = SizesByUid()
    for uid, size in listed:
        found.take(uid, size)
    return found


def test_many_messages_look_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [(1, 5), (2, None), (9, 7), (4_000_000_000, 1 << 31)]
    few = sizes(*listed).messages()
    monkeypatch.setattr(listings, "_FEW", 3)
    many = sizes(*listed).messages()
    assert not isinstance(many, tuple)
    assert list(many) == list(few) == [Listed(str(uid), size) for uid, size in listed]
    assert (many[-1], list(many[1:3]), len(many)) == (few[-1], list(few[1:3]), 4)


def test_I14_disorder_and_repetition() -> None:
    assert sizes((2, 5), (1, None), (2, None), (1, 3)).messages() == (
        Listed("1", 3),
        Listed("2", 5),
    )
    many = sizes(*((uid, uid) for uid in range(200_000, 0, -1)))
    many.take_many([(b"7", b"70"), (b"0", b"1"), (b"4294967296", b"1"), (b"200001", b"9" * 20)])
    assert [(found.key, found.size) for found in many.messages()[5:8]] == [
        ("6", 6),
        ("7", 70),
        ("8", 8),
    ]
    assert many.messages()[-1] == Listed("200001", (1 << 32) - 2)
    assert len(many) == 200_001


def test_I18_what_is_listed_again_and_again_is_a_flood() -> None:
    found = sizes()
    found.expect(1000, "mail.example")
    again = [(b"%d" % uid, b"1") for uid in range(1, 1001)]
    for _ in range(10):
        found.take_many(again)
    with pytest.raises(Flooded, match="the server announced 1000 messages and lists many more"):
        collections.deque(map(found.take_many, [again] * 100))
    with pytest.raises(ProtocolViolation, match="has more than 2,500,000 messages"):
        sizes().expect(3_000_000, "mail.example")


def test_notes_are_told_as_far_as_people_read_them() -> None:
    assert shown_notes(["a", "b"]) == ("a", "b")
    many = shown_notes([f"note {number} " + "x" * 5000 for number in range(2000)])
    assert len(many) == NOTES + 1
    assert many[-1] == "and 1980 more notes"
    assert sum(map(len, many)) < 21_000
