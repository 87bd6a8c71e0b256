"""`mailcollector clear` and `mailcollector check`."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.verbs.check import report_lines
from reconciler.model.status import SessionError
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon, shown
from tests.cli.golden import golden
from tests.cli.samples import check_report, description


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input is a terminal; what is typed is still the runner's `input`."""
    monkeypatch.setattr("reconciler.cli.verbs.clear._can_ask", lambda: True)


def test_clear_without_a_terminal_wants_yes(run: Run, daemon: FakeDaemon) -> None:
    daemon.describe(description())

    result = run("clear", "sales")

    assert result.exit_code == 2
    assert result.stderr == (
        "mailcollector: clear asks before it forgets the 1,234 messages that sales remembers, and "
        "there is no terminal to ask on: nothing was forgotten; to confirm, say "
        "`mailcollector clear sales --yes`\n"
    )
    assert not [line for line in daemon.asked if line.startswith("POST")]


def test_clear_through_the_daemon(run: Run, daemon: FakeDaemon) -> None:
    daemon.answers["POST /collectors/sales/clear"] = (200, {"epoch": 3, "forgotten": 1234})

    assert run("clear", "sales", "--yes").stdout == (
        "sales: 1,234 messages forgotten; everything on the server counts as new\n"
    )
    assert json.loads(run("clear", "sales", "-y", "-o", "json").stdout) == {
        "name": "sales",
        "epoch": 3,
        "forgotten": 1234,
    }


@pytest.mark.usefixtures("terminal")
def test_clear_asks(run: Run, app: FakeApp) -> None:
    refused, agreed = run("clear", "sales", input="n\n"), run("clear", "sales", input="y\n")

    assert "Forget the 1,234 messages that sales remembers?" in refused.stderr
    assert (refused.exit_code, agreed.exit_code, app.cleared) == (1, 0, ["sales"])


def test_clear_of_nobody(run: Run, app: FakeApp) -> None:
    assert run("clear", "sale", "--yes").exit_code == 1
    assert app.cleared == []


def test_clear_of_one_without_a_history_says_what_the_daemon_says(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.answers["POST /collectors/sales/clear"] = (
        404,
        {"error": {"reason": "NotFound", "message": "never ran"}},
    )

    result = run("clear", "sales", "--yes")

    assert (result.exit_code, result.stderr) == (1, "mailcollector: never ran\n")


@pytest.mark.parametrize("ok", [True, False])
def test_check_through_the_daemon(run: Run, daemon: FakeDaemon, ok: bool) -> None:
    daemon.answers["POST /collectors/sales/check"] = (200, shown(check_report(ok=ok)))

    assert run("check", "sales").exit_code == (0 if ok else 1)
    assert json.loads(run("check", "sales", "-o", "json").stdout)["ok"] is ok


def test_check_without_a_daemon(run: Run, app: FakeApp) -> None:
    assert run("check", "info").stdout.startswith("info: ready to collect\n")
    assert run("check", "nobody").exit_code == 1


def test_check_as_it_is_printed() -> None:
    step = check_report().steps[0].model_copy(update={"ok": False, "message": "refused\x1b[2J"})
    broken = check_report(
        ok=False,
        steps=(step,),
        folders=(),
        first_session="",
        notes=(),
        error=SessionError(reason="AuthenticationFailed", message="refused\x1b[2J"),
    )

    golden("check.txt", [*report_lines(check_report()), *report_lines(broken)])
