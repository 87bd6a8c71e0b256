"""`mailcollector collect`."""

from __future__ import annotations

import json

from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import HOSTILE, collector, refused, session

LINE = (
    "sales: collected 12, skipped 3 (collected-before 3), parked 0, failed 0, left 0, deleted 0, "
    "1.2 MB in 0.8 s\n"
)


def test_daemon_is_asked_and_nobody_waits(run: Run, daemon: FakeDaemon) -> None:
    result = run("collect", "sales", "info")

    assert (result.exit_code, result.stdout) == (
        0,
        "sales: asked to collect\ninfo: asked to collect\n",
    )
    assert daemon.asked[1:] == ["POST /collectors/sales/collect", "POST /collectors/info/collect"]


def test_waiting_shows_progress_and_tells_the_outcome(run: Run, daemon: FakeDaemon) -> None:
    daemon.sessions["sales"] = [
        ("progress", session(finished_at=None, collected=0, left=12)),
        ("finished", session()),
    ]

    result = run("collect", "sales", "--wait")

    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        LINE,
        "sales: 0 of 12 messages\n",
    )
    assert daemon.asked[-1] == "POST /collectors/sales/collect?wait=true"


def test_failed_session_exits_1_and_says_when_it_is_tried_again(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.sessions = {"sales": [("finished", session())], "info": [("finished", refused())]}

    result = run("collect", "--all", "--wait")

    assert result.exit_code == 1
    assert LINE in result.stdout
    assert "0 B in 0.8 s; failed: AuthenticationFailed: wrong password\n" in result.stdout
    assert "info: next attempt " in result.stderr
    assert "sales: next attempt " not in result.stderr


def test_failed_messages_are_a_failure_parked_skipped_and_left_ones_are_not(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.sessions = {
        "sales": [("finished", session(parked=2, left=5, listed=22))],
        "info": [("finished", session(failed=1, listed=16))],
    }

    assert run("collect", "sales", "--wait").exit_code == 0
    assert run("collect", "info", "--wait").exit_code == 1


def test_throttled_one_is_declined(run: Run, daemon: FakeDaemon) -> None:
    declined = {"error": {"reason": "Throttled", "message": "not before 22:47: " + HOSTILE}}
    daemon.answers["POST /collectors/sales/collect"] = (409, declined)

    for arguments in (["sales"], ["sales", "--wait"]):
        result = run("collect", *arguments)

        assert result.exit_code == 1
        assert result.stderr.startswith(
            "mailcollector: sales: Throttled: not before 22:47: gone\\x1b[2J"
        )


def test_force_is_passed_on(run: Run, daemon: FakeDaemon) -> None:
    run("collect", "sales", "--force")

    assert daemon.asked[-1] == "POST /collectors/sales/collect?force=true"


def test_all_leaves_out_the_disabled(run: Run, daemon: FakeDaemon) -> None:
    daemon.collectors.append(collector("off", spec={"enabled": False}))

    assert run("collect", "--all", "-o", "name").stdout == "sales\ninfo\n"


def test_nothing_runs_when_a_name_is_unknown(run: Run, daemon: FakeDaemon) -> None:
    result = run("collect", "sales", "inf")

    assert result.exit_code == 1
    assert result.stderr == "mailcollector: there is no collector 'inf': did you mean info?\n"
    assert daemon.asked == ["GET /collectors?limit=1000"]


def test_names_or_all(run: Run) -> None:
    assert run("collect").exit_code == 2
    assert run("collect", "sales", "--all").exit_code == 2


def test_daemon_that_goes_away_in_the_middle(run: Run, daemon: FakeDaemon) -> None:
    daemon.sessions["sales"] = [("progress", session(finished_at=None))]

    result = run("collect", "sales", "--wait")

    assert result.exit_code == 1
    assert "stopped before the session of sales ended" in result.stderr


def test_without_a_daemon_it_waits(run: Run, app: FakeApp) -> None:
    app.sessions = {"sales": session(), "info": refused()}

    result = run("collect", "sales", "info", "--force")

    assert result.exit_code == 1
    assert result.stdout.startswith(LINE)
    assert app.forced == [True]


def test_json_has_an_entry_for_each(run: Run, daemon: FakeDaemon) -> None:
    daemon.sessions["sales"] = [("finished", session())]
    daemon.answers["POST /collectors/info/collect"] = (
        409,
        {"error": {"reason": "Throttled", "message": "later"}},
    )

    printed = json.loads(run("collect", "sales", "info", "--wait", "-o", "json").stdout)
    by_name = {one["name"]: one for one in printed}

    assert by_name["sales"]["session"]["collected"] == 12
    assert by_name["info"] == {
        "name": "info",
        "session": None,
        "error": {"reason": "Throttled", "message": "later"},
    }
