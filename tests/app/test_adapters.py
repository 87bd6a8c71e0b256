"""Which adapter a spec gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.app import adapters
from reconciler.app.adapters import ledger_if_any, open_destination, open_source
from reconciler.destinations.maildir.delivery import Maildir
from reconciler.ledger import open_ledger
from reconciler.model.secret import Secret
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector, desire
from tests.planning.build import collector, destination, observed


def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite3")


def to(**spec: Any) -> DesiredCollector:
    """A collector whose mail goes there; with nothing given, to the built-in destination."""
    declared = [destination("d", default=True, **spec)] if spec else []
    return desire(observed(collector("a"), *declared), {}).collectors["a"]


@pytest.mark.parametrize(("protocol", "kind"), [("imap", "ImapSource"), ("pop3", "Pop3Source")])
def test_a_source_by_its_protocol(protocol: str, kind: str, tmp_path: Path) -> None:
    source = {
        "protocol": protocol,
        "host": "mail.example",
        "username": "u",
        "password": {"env": "UNUSED"},
    }
    spec = desire(observed(collector("a", source=source)), {}).collectors["a"].effective.source
    entered: list[str] = []
    opened: Any = open_source(
        spec,
        Secret("unused"),
        settings(tmp_path),
        lambda: entered.append("entered"),
        lambda: entered.append("login"),
    )
    assert type(opened).__name__ == kind
    opened.entered()
    opened.another_login()
    assert entered == ["entered", "login"]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({}, "Maildir"),
        ({"maildir": {"path": "/var/mail/{local}"}}, "Maildir"),
        ({"lmtp": {"socket": "/run/lmtp"}}, "Lmtp"),
        ({"smtp": {"host": "mail.example"}}, "Smtp"),
    ],
)
def test_a_destination_by_its_spec(spec: dict[str, Any], kind: str, tmp_path: Path) -> None:
    opened = open_destination(to(**spec), settings(tmp_path), None)
    assert isinstance(opened, Maildir) is (kind == "Maildir")
    if kind != "Maildir":
        assert kind.lower() in repr(vars(opened)).lower()


def test_a_maildir_remembers_its_disk_in_the_ledger_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories: list[Any] = []
    monkeypatch.setattr(adapters, "Maildir", lambda _, *, memory, **more: memories.append(memory))
    ledger = open_ledger(settings(tmp_path).state_url)
    for known in (None, ledger):
        open_destination(to(), settings(tmp_path), known)
    assert memories[0] is None
    assert memories[1].mounts() == {}
    ledger.close()


def test_a_ledger_is_read_only_where_there_is_one_and_closed_again(tmp_path: Path) -> None:
    with ledger_if_any(settings(tmp_path)) as ledger:
        assert ledger is None
    open_ledger(settings(tmp_path).state_url).close()
    with ledger_if_any(settings(tmp_path)) as ledger:
        assert ledger is not None
        with ledger.reading() as connection:
            assert not connection.closed
    assert ledger._engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # SQLAlchemy's
