"""Matching what is listed with what was collected under other keys: one to one, and nothing by
chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.collect.incoming_message import IncomingMessage, fingerprint
from reconciler.collect.known_listing import is_unknown, was_renumbered
from reconciler.collect.message_identity import ContentKeys, Place, match, recognise
from reconciler.collect.selection import Attempt
from reconciler.model.messages import Account, Fingerprint, Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState, Orphan

OLD = Folder(Account("imap", "old.example.org", 993, "user"), "INBOX", 1)
NEW = Folder(Account("imap", "new.example.org", 993, "user"), "INBOX", 1)
MAILDROP = Folder(Account("pop3", "old.example.org", 995, "user"), "", 0)
COLLECTED, FAILED, BEGUN = MessageState.COLLECTED, MessageState.FAILED, MessageState.BEGUN


def orphan(number: int, header: str, content: str = "", state: MessageState = COLLECTED) -> Orphan:
    return Orphan(number, OLD, Entry(str(number), state), Fingerprint(header, content or header))


def places(*headers: str) -> dict[Place, str]:
    return {(NEW, str(number)): header for number, header in enumerate(headers)}


@pytest.mark.parametrize(
    ("headers", "orphans", "presumed"),
    [
        (places("a", "b"), [], {}),
        (places("a", "b"), [orphan(7, "b")], {"1": 7}),
        (places("a"), [orphan(7, "a"), orphan(8, "b")], {"0": 7}),
        (places("a", "a"), [orphan(7, "a")], {}),
        (places("a"), [orphan(7, "a"), orphan(8, "a")], {}),
        (places("a", "a"), [orphan(7, "a"), orphan(8, "a")], {}),
        (places("a"), [orphan(7, "a", state=FAILED)], {}),
        (places("a"), [orphan(7, "a", state=BEGUN)], {}),
        (places("a"), [orphan(7, "a", state=MessageState.PRESUMED)], {"0": 7}),
    ],
)
def test_I9_headers_tell_where_they_are_unique(
    headers: dict[Place, str], orphans: list[Orphan], presumed: dict[str, int]
) -> None:
    found = match(headers, orphans, Counter(headers.values()))
    assert {key: one.number for (_, key), one in found.items()} == presumed


def test_the_same_key_in_two_folders_is_two_messages() -> None:
    assert match({(NEW, "1"): "a", (MAILDROP, "1"): "a"}, [orphan(7, "a")], {"a": 2}) == {}


def test_a_twin_elsewhere_counts() -> None:
    assert match(places("a"), [orphan(7, "a")], {"a": 2}) == {}


HEADERS = st.sampled_from("abc")
STATES = st.sampled_from([COLLECTED, FAILED, BEGUN, MessageState.PRESUMED])


@given(st.lists(HEADERS, max_size=8), st.lists(st.tuples(HEADERS, STATES), max_size=8))
def test_every_orphan_goes_to_one_message_at_most(
    listed: list[str], lost: list[tuple[str, MessageState]]
) -> None:
    headers = places(*listed)
    orphans = [orphan(number, header, state=state) for number, (header, state) in enumerate(lost)]
    presumed = match(headers, orphans, Counter(listed))
    assert len({one.number for one in presumed.values()}) == len(presumed)
    assert all(one.fingerprint.header == headers[place] for place, one in presumed.items())


@given(st.lists(HEADERS, max_size=8), st.lists(st.tuples(HEADERS, STATES), max_size=8))
def test_by_content_the_multiset_is_met_exactly(
    listed: list[str], lost: list[tuple[str, MessageState]]
) -> None:
    orphans = [orphan(number, header, state=state) for number, (header, state) in enumerate(lost)]
    claimed: set[int] = set()
    recognised = Counter[str]()
    for content in listed:
        found = recognise(Fingerprint(content, content), orphans, claimed)
        if found:
            assert found.number not in claimed
            claimed.add(found.number)
            recognised[content] += 1
    assert recognised == Counter(listed) & Counter(header for header, _ in lost)


def test_the_same_headers_with_other_content_are_another_message() -> None:
    lost = [orphan(1, "h", "c"), orphan(2, "h", "d", FAILED), orphan(3, "h", "d")]
    assert recognise(Fingerprint("h", "e"), lost, ()) is None
    assert recognise(Fingerprint("h", "d"), lost, ()) == lost[2]
    assert recognise(Fingerprint("h", "d"), lost, {3}) == lost[1]


@pytest.mark.parametrize(
    ("entry", "unknown"),
    [
        (None, True),
        (Entry("1", MessageState.LISTED, header="a"), True),
        (Entry("1", FAILED), True),
        (Entry("1", FAILED, content="c"), False),
        (Entry("1", MessageState.PARKED), True),
        (Entry("1", BEGUN, content="c"), False),
        (Entry("1", MessageState.PRESUMED), False),
        (Entry("1", COLLECTED), False),
    ],
)
def test_unknown_is_whose_content_was_never_seen(entry: Entry | None, unknown: bool) -> None:
    assert is_unknown(entry) is unknown


def known(*keys: str, deleted: bool = False) -> dict[str, Entry]:
    return {key: Entry(key, COLLECTED, deleted=deleted) for key in keys}


def listing(folder: Folder, *keys: str, next_key: int | None = None) -> Listing:
    return Listing(folder, tuple(Listed(key, 1) for key in keys), next_key=next_key)


@pytest.mark.parametrize(
    ("listed", "entries", "renumbered"),
    [
        (listing(NEW, "1", "2", next_key=3), known("1", "2"), False),
        (listing(NEW, "1", "2", next_key=9), known("1", "2", "8"), False),
        (
            listing(NEW, "1", "2", next_key=3),
            known("1", "2", "8"),
            True,
        ),  # UIDNEXT went back, UIDs are reused
        (listing(NEW, "1", "2", next_key=3), known("1", "2", "8", deleted=True), True),
        (
            listing(NEW, "1", "5", next_key=3),
            known("1", "8"),
            False,
        ),  # a UIDNEXT that makes no sense
        (listing(NEW, "1", "2"), known("8", "9"), True),
        (listing(NEW, "10"), known("8", "9"), False),  # the old ones were deleted by somebody
        (listing(NEW, "1", "2"), known("8", "9", deleted=True), False),
        (listing(NEW), known("8", "9"), False),
        (listing(NEW, "1"), {}, False),
        (listing(MAILDROP, "a", "b"), known("b", "c"), False),
        (listing(MAILDROP, "a", "b"), known("c", "d"), True),
        (listing(MAILDROP, "a", "b"), known("c", "d", deleted=True), False),
    ],
)
def test_I11_P3_an_unannounced_renumbering_is_noticed(
    listed: Listing, entries: dict[str, Entry], renumbered: bool
) -> None:
    assert was_renumbered(listed, entries) is renumbered


TEXT = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("entry", "previous"),
    [
        pytest.param(None, ["", "collected 0", "collected 1", "collected 2"], id="unknown"),
        pytest.param(
            (MessageState.FAILED, 0, False),
            ["failed 0", "collected 0", "collected 1", "collected 2"],
            id="failed",
        ),
        pytest.param(
            (MessageState.COLLECTED, 0, False),
            ["collected 0 gone", "collected 0", "collected 1", "collected 2"],
            id="one was collected",
        ),
        pytest.param(
            (MessageState.COLLECTED, 1, False),
            ["collected 1 gone", "collected 1 gone", "collected 1", "collected 2"],
            id="two were collected",
        ),
        pytest.param(
            (MessageState.COLLECTED, 0, True),
            ["collected 0", "collected 0", "collected 1", "collected 2"],
            id="one was collected and deleted",
        ),
        pytest.param(
            (MessageState.COLLECTED, 2, True),
            ["collected 2", "collected 2", "collected 2", "collected 2"],
            id="three were collected and deleted",
        ),
    ],
)
def test_P1_equal_messages_are_told_apart_by_counting(
    entry: tuple[MessageState, int, bool] | None, previous: list[str]
) -> None:
    content = fingerprint([TEXT]).content
    key = f"sha256:{content}"
    known = {}
    if entry is not None:
        state, occurrence, deleted = entry
        known[key] = Entry(key, state, occurrence, deleted=deleted)
    keys = ContentKeys(known)
    found = []
    for number in range(1, 5):
        attempt, text = keys.identify(
            Attempt(Listed(f"#{number}", 10)), IncomingMessage([TEXT], 1 << 20)
        )
        lf = TEXT.replace(b"\r\n", b"\n")
        assert (attempt.key, b"".join(text), keys.keys[f"#{number}"]) == (key, lf, key)
        one = attempt.previous
        gone = one is not None and one.deleted
        assert not gone or (one is not None and one.content == content)
        found.append(f"{one.state} {one.occurrence}{' gone' * gone}" if one else "")
    assert found == previous
