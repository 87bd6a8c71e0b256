"""D6: that a removal is meant can be written while another process collects."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from reconciler.app.without_daemon import confirm_removed
from reconciler.ledger import open_ledger
from reconciler.model.history import LastGood
from reconciler.model.settings import Settings


def test_D6_remove_takes_no_lease_from_whoever_collects(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    with closing(open_ledger(url)) as collecting:
        collecting.take()
        collecting.save_last_good(
            [LastGood("MailCollector", name, "f", 1, "/", "{}") for name in ("a", "b")],
            [],
            datetime.now(UTC),
        )
        confirm_removed(Settings(tmp_path, url), "a")
        collecting.hold()
        assert [good.name for good in collecting.last_good()] == ["b"]
