"""A listing beside what a real ledger knows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.collect import known_listing
from reconciler.collect.known_listing import any_unlisted, is_unknown, look_up, was_renumbered
from reconciler.ledger.open_ledger import open_ledger
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState
from tests.ledger.samples import NOW, collected, declare

MAILDROP = Folder(Account("pop3", "pop.example", 995, "user"), "", 0)


def test_every_message_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is known of a whole block of them."""
    monkeypatch.setattr(known_listing, "BLOCK", 2)
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    declare(ledger, "sales", "digest", "new-keep", NOW)
    ledger.record("sales", MAILDROP, [collected("3", "a@x.test"), collected("9", "a@x.test")], NOW)
    messages = tuple(Listed(str(number), 10) for number in range(1, 6))
    found = look_up(ledger, "sales", Listing(MAILDROP, messages))
    assert [(listed.key, entry is not None) for listed, entry in found] == [
        ("1", False),
        ("2", False),
        ("3", True),
        ("4", False),
        ("5", False),
    ]
    assert any_unlisted(messages, found.entries)
    assert not any_unlisted([*messages, Listed("9", 10)], found.entries)
    ledger.close()


INBOX = Folder(Account("imap", "imap.example", 993, "user"), "INBOX", 1)
COLLECTED = Entry("7", MessageState.COLLECTED)
DELETED = Entry("7", MessageState.COLLECTED, deleted=True)


@pytest.mark.parametrize(
    ("entry", "unlisted"),
    [
        (COLLECTED, True),
        (Entry("7", MessageState.PRESUMED), True),
        (DELETED, False),
        (Entry("7", MessageState.FAILED), False),
        (Entry("7", MessageState.FAILED, deleted=True), False),
    ],
)
def test_what_was_collected_and_is_listed_no_longer(entry: Entry, unlisted: bool) -> None:
    assert any_unlisted([Listed("8", 10)], {"7": entry}) is unlisted
    assert any_unlisted([Listed("7", 10), Listed("8", 10)], {"7": entry}) is False
    assert any_unlisted([Listed("7", 10)], {"7": entry, "9": COLLECTED}) is True
    assert any_unlisted([Listed("7", 10)], {"7": entry, "9": DELETED}) is False
    assert any_unlisted([], {}) is False


@pytest.mark.parametrize(
    ("state", "content", "unknown"),
    [
        (MessageState.COLLECTED, "", False),
        (MessageState.PRESUMED, "", False),
        (MessageState.BEGUN, "", False),
        (MessageState.LISTED, "", True),
        (MessageState.FAILED, "", True),
        (MessageState.FAILED, "sha256:1", False),
    ],
)
def test_of_what_nothing_is_known_its_content_is_not(
    state: MessageState, content: str, unknown: bool
) -> None:
    assert is_unknown(Entry("7", state, content=content)) is unknown
    assert is_unknown(None)


@pytest.mark.parametrize(
    ("uids", "next_key", "known", "renumbered"),
    [
        pytest.param([7, 8], None, [5, 7], False, id="one is known"),
        pytest.param([8, 9], None, [5, 7], False, id="all are newer"),
        pytest.param([6, 9], None, [5, 7], True, id="one is older and new"),
        pytest.param([7, 9], None, [5, 8], True, id="the first is older than the latest"),
        pytest.param([5], 6, [5, 7], True, id="UIDNEXT was used"),
        pytest.param([5], 7, [5, 7], True, id="UIDNEXT is the latest one"),
        pytest.param([5], 8, [5, 7], False, id="UIDNEXT is new"),
        pytest.param([5, 9], 6, [5, 9], False, id="UIDNEXT is below what is listed"),
        pytest.param([7], 7, [5, 7], False, id="UIDNEXT is the last listed one"),
        pytest.param([], 1, [5, 7], False, id="nothing is listed"),
        pytest.param([5], 6, [], False, id="nothing is known"),
    ],
)
def test_I11_where_uids_are_used_again_the_folder_was_renumbered(
    uids: list[int], next_key: int | None, known: list[int], renumbered: bool
) -> None:
    entries = {str(uid): Entry(str(uid), MessageState.COLLECTED) for uid in known}
    messages = tuple(Listed(str(uid), 10) for uid in uids)
    listing = Listing(INBOX, messages, next_key=next_key)
    assert was_renumbered(listing, entries) is renumbered


@pytest.mark.parametrize(
    ("listed", "entry", "keys_stable", "renumbered"),
    [
        pytest.param("b", COLLECTED, True, True, id="another UIDL"),
        pytest.param("7", COLLECTED, True, False, id="the same UIDL"),
        pytest.param("b", DELETED, True, False, id="the other one is deleted"),
        pytest.param("b", COLLECTED, False, False, id="no UIDL"),
        pytest.param("b", Entry("7", MessageState.LISTED), True, False, id="never seen"),
        pytest.param("b", Entry("7", MessageState.LISTED, header="h"), True, True, id="its header"),
        pytest.param("b", Entry("7", MessageState.FAILED), True, True, id="it failed"),
    ],
)
def test_P3_where_no_uidl_is_known_the_maildrop_was_renumbered(
    listed: str, entry: Entry, keys_stable: bool, renumbered: bool
) -> None:
    listing = Listing(MAILDROP, (Listed(listed, 10),), keys_stable=keys_stable)
    assert was_renumbered(listing, {"7": entry}) is renumbered
