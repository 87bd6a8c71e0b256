"""`mailcollector logs`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from reconciler.model.session_dialogue import DialogueLine, Direction, SessionDialogue
from reconciler.model.shown_dialogue import ShownDialogue, ShownDialogues
from reconciler.model.status import ShownEvent
from tests.cli.conftest import Run
from tests.cli.fake_daemon import FakeDaemon, shown
from tests.cli.samples import NOW, description

SAID = SessionDialogue(
    "session",
    NOW,
    NOW + timedelta(seconds=1.25),
    "failed",
    "AuthenticationFailed",
    "refused: no",
    (
        DialogueLine(0.001, "imap", Direction.NOTE, "connected to imap.example:993"),
        DialogueLine(0.02, "imap", Direction.RECEIVED, "* OK ready"),
        DialogueLine(0.021, "imap", Direction.SENT, "C0 LOGIN [redacted]"),
        DialogueLine(1.2, "", Direction.OMITTED, "", 1234),
        DialogueLine(1.2, "imap", Direction.RECEIVED, "C0 NO no"),
    ),
)


@pytest.fixture
def told(daemon: FakeDaemon) -> FakeDaemon:
    events = (
        ShownEvent(at=NOW, what="failed", reason="AuthenticationFailed", times=3),
        ShownEvent(at=NOW, what="start", reason="declared"),
    )
    daemon.describe(description(events=events, due_deletions=3))
    dialogues = ShownDialogues(name="sales", items=(ShownDialogue.of(SAID),))
    daemon.answers["GET /collectors/sales/dialogue"] = (200, shown(dialogues))
    return daemon


def test_the_last_sessions_and_events_the_newest_last(run: Run, told: FakeDaemon) -> None:
    lines = run("logs", "sales").stdout.splitlines()
    assert lines[0] == "Sessions:"
    assert "failed: collected 0" in lines[1]
    assert lines[2].startswith("      AuthenticationFailed: ")
    assert "succeeded: collected" in lines[3]
    assert lines[-3:] == [
        "Since the daemon started:",
        f"  {NOW:%Y-%m-%d %H:%M:%S}Z  start: declared",
        f"  {NOW:%Y-%m-%d %H:%M:%S}Z  failed: AuthenticationFailed (3 times)",
    ]


def test_what_was_said(run: Run, told: FakeDaemon) -> None:
    assert run("logs", "sales", "--protocol").stdout.splitlines()[1:] == [
        "  AuthenticationFailed: refused: no",
        "     0.001  imap - connected to imap.example:993",
        "     0.020  imap < * OK ready",
        "     0.021  imap > C0 LOGIN [redacted]",
        "            … 1,234 lines left out …",
        "     1.200  imap < C0 NO no",
    ]


def test_json_has_everything(run: Run, told: FakeDaemon) -> None:
    printed = json.loads(run("logs", "sales", "--protocol", "-o", "json").stdout)
    assert sorted(printed) == ["dialogues", "events", "name", "sessions"]
    assert printed["dialogues"][0]["lines"][2]["text"] == "C0 LOGIN [redacted]"
    assert printed["dialogues"][0]["lines"][3] == {
        "at": 1.2,
        "connection": "",
        "direction": "omitted",
        "text": "",
        "count": 1234,
    }
    assert "dialogues" not in json.loads(run("logs", "sales", "-o", "json").stdout)


def test_nothing_was_said_yet(run: Run, told: FakeDaemon) -> None:
    empty = ShownDialogues(name="sales", items=())
    told.answers["GET /collectors/sales/dialogue"] = (200, shown(empty))
    assert run("logs", "sales", "--protocol").stdout.startswith("Nothing is kept")


def test_due_deletions_are_described(run: Run, told: FakeDaemon) -> None:
    assert "Due deletions: 3 collected messages are still on the" in run("describe", "sales").stdout


@pytest.mark.parametrize("where", ["daemon", "app"])
@pytest.mark.parametrize("protocol", [(), ("--protocol",)])
def test_an_unknown_collector(
    run: Run, request: pytest.FixtureRequest, where: str, protocol: tuple[str, ...]
) -> None:
    request.getfixturevalue(where)
    result = run("logs", "salse", *protocol)
    assert result.exit_code == 1
    assert "did you mean sales?" in result.stderr
