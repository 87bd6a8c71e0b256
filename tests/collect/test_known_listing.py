"""A listing beside what a real ledger knows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.collect import known_listing
from reconciler.collect.known_listing import any_unlisted, look_up
from reconciler.ledger.open_ledger import open_ledger
from reconciler.model.messages import Account, Folder, Listed, Listing
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
