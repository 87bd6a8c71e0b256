"""`mailcollector run`, `validate` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.model.errors import CollectorError
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon

GOOD = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  source: {protocol: imap, host: imap.example.org, username: me, password: {file: secret}}
  recipient: {forwardTo: sales@example.org}
"""


@pytest.mark.parametrize("code", [0, 1])
def test_run_once_ends_as_the_application_says(run: Run, app: FakeApp, code: int) -> None:
    app.code = code

    assert run("run", "--once").exit_code == code
    assert app.ran[0][2] is True


@pytest.mark.parametrize(
    "error",
    [CollectorError("another process owns state"), PermissionError(13, "Permission denied", "x")],
)
def test_run_that_cannot_start_exits_2_with_one_line(
    run: Run, app: FakeApp, error: Exception
) -> None:
    app.error = error

    result = run("run")

    assert result.exit_code == 2
    assert result.stderr.startswith("mailcollector: ")
    assert len(result.stderr.splitlines()) == 1


def test_interrupted_run_exits_130_quietly(run: Run, app: FakeApp) -> None:
    app.error = KeyboardInterrupt()  # type: ignore[assignment]  # raised like one

    result = run("run")

    assert (result.exit_code, result.output) == (130, "")


def test_valid_directory(run: Run, elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    (elsewhere / "collectors.d" / "sales.yaml").write_text(GOOD, encoding="utf-8")

    result = run("validate")

    assert (result.exit_code, result.stdout) == (0, "1 manifest in 1 file: no errors\n")


def test_broken_file(run: Run, elsewhere: Path) -> None:
    (elsewhere / "a.yaml").write_text(GOOD.replace("username", "usrname"), encoding="utf-8")

    as_text, as_json, github = (
        run("validate", "a.yaml", "--output", form) for form in ("text", "json", "github")
    )

    assert (as_text.exit_code, as_json.exit_code, github.exit_code) == (1, 1, 1)
    assert "did you mean `username`" in as_text.stdout
    assert "\x1b" not in as_text.stdout
    assert {key for found in json.loads(as_json.stdout) for key in found} == {
        "file",
        "line",
        "column",
        "path",
        "rule",
        "severity",
        "message",
    }
    assert github.stdout.startswith("::error file=a.yaml,line=")


def test_running_daemons_directory_is_validated(
    run: Run, daemon: FakeDaemon, elsewhere: Path
) -> None:
    (elsewhere / "running.d").mkdir()
    (elsewhere / "running.d" / "sales.yaml").write_text(GOOD, encoding="utf-8")
    daemon.answers["GET /info"] = (200, {"manifests": str(elsewhere / "running.d")})

    assert run("validate").stdout == "1 manifest in 1 file: no errors\n"


def test_validate_of_nothing_is_a_usage_error(run: Run, elsewhere: Path) -> None:
    assert run("validate").exit_code == 2
    assert run("validate", "nowhere.yaml").exit_code == 2


def test_schema_is_printed(run: Run) -> None:
    result = run("schema")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["apiVersion"]["const"] == "mailcollector/v1"


def test_version(run: Run) -> None:
    assert run("--version").stdout.startswith("mailcollector 0.")
