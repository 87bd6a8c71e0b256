"""Sessions as they are put together from a collector's spec."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.app import session_assembly
from reconciler.app.login_secrets import LoginSecrets
from reconciler.control.dialogue_store import DialogueStore
from reconciler.control.session_control import SessionControl
from reconciler.ledger import open_ledger
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.model.secret import REDACTED
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector, desire
from tests.collect.world import Fate, MemorySource, Server
from tests.ledger.samples import declare
from tests.planning.build import collector, observed

PASSWORD = "correct horse battery"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def desired(path: Path) -> DesiredCollector:
    source = {
        "protocol": "imap",
        "host": "imap.example",
        "username": "sales",
        "password": {"file": str(path)},
    }
    return desire(observed(collector("sales", source=source)), {}).collectors["sales"]


def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, fate: Fate
) -> SessionReport:
    """Run one session over a source in memory, recorded in a ledger of its own."""
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    settings = Settings(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite3")

    def open_source(*_: Any) -> MemorySource:
        return MemorySource(server, fate)

    monkeypatch.setattr(session_assembly, "open_source", open_source)
    ledger = open_ledger(settings.state_url)
    try:
        found = desired(tmp_path / "secret")
        declare(ledger, "sales", found.digest, found.spec.collect.mode, NOW)
        with LoginSecrets() as tokens:
            sessions = session_assembly.SessionRunner(settings, ledger, tokens, DialogueStore())
            return sessions.run(found, SessionControl())
    finally:
        ledger.close()


def test_S1_an_alert_that_quotes_the_password_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(alerts=(f"change {PASSWORD!r} soon",))
    report = session(tmp_path, monkeypatch, server, Fate())
    assert report.outcome is Outcome.SUCCEEDED
    assert report.notes == (f"the server's alert: change '{REDACTED}' soon",)


def test_S1_an_error_that_quotes_the_password_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> AuthenticationFailed:
        return AuthenticationFailed(f"no such login: sales {PASSWORD}")

    report = session(tmp_path, monkeypatch, Server(), Fate(on=("list", 1), error=refused))
    assert report.error is not None
    assert report.error.message == f"no such login: sales {REDACTED}"
