"""`mailcollector plan`, over real files, a real ledger and a real daemon."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.ledger import open_ledger
from reconciler.planning.observed_manifests import declare, to_last_good
from tests.cli.conftest import Run
from tests.cli.fake_daemon import FakeDaemon, shown
from tests.control.manifests import save, text
from tests.ledger.samples import declare as declare_in
from tests.planning.test_field_changes import stands


@pytest.fixture
def root(elsewhere: Path) -> Path:
    directory = elsewhere / "collectors.d"
    directory.mkdir()
    return directory


def remember(root: Path, *names: str) -> None:
    """As a daemon would that ran these files."""
    # the command line is to be tested without it
    from reconciler.manifests.loading import load  # noqa: PLC0415

    (root.parent / "state").mkdir(exist_ok=True)
    ledger = open_ledger(f"sqlite:///{root.parent / 'state' / 'ledger.sqlite3'}")
    now = datetime.now(UTC)
    found = [
        declare(one.manifest, one.file, one.line, one.base)
        for name in names
        for one in load(root / f"{name}.yaml").manifests
    ]
    ledger.save_last_good([to_last_good(one) for one in found], [], now)
    for one in found:
        declare_in(ledger, one.name, one.digest, "new-keep", now)
    ledger.close()


def test_nothing_to_do(run: Run, root: Path) -> None:
    save(root, "a")
    remember(root, "a")

    result = run("plan")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "Plan: 1 to keep\n", "")


def test_every_sort_of_step(run: Run, root: Path) -> None:
    for name in ("a", "b", "c"):
        save(root, name)
    remember(root, "a", "b", "c")
    save(root, "a", text("a", "1h"))
    (root / "b.yaml").unlink()
    save(root, "c", text("c", enabled="false"))
    save(root, "d")

    result = run("plan")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "~ replace a: its spec or destination changed" in lines
    assert lines[1:3] == ["    - spec.collect.interval: 5m", "    + spec.collect.interval: 1h"]
    assert "- stop b: declared no longer" in lines
    (kept, declared) = [line for line in lines if "its history" in line]
    assert "(0 messages remembered) is kept until " in kept
    assert "while it is declared" in declared
    assert "+ start d: declared" in lines
    assert lines[-1] == "Plan: 1 to start, 1 to replace, 2 to stop"
    assert "\x1b" not in result.stdout
    assert run("plan", "-o", "name").stdout.split() == ["a", "b", "c", "d"]


def test_colours_on_a_terminal(run: Run, root: Path) -> None:
    save(root, "a")

    assert "\x1b[32m" in run("plan", color="always").stdout


def test_for_a_program(run: Run, root: Path) -> None:
    save(root, "a")
    remember(root, "a")
    save(root, "a", text("a").replace("interval: 5m", "mode: all-delete"))

    plan = json.loads(run("plan", "-o", "json").stdout)

    assert (plan["changed"], plan["counts"], plan["diagnostics"]) == (True, {"Replace": 1}, [])
    (step,) = plan["steps"]
    assert (step["step"], step["name"]) == ("Replace", "a")
    assert step["changes"] == [
        {"field": "spec.collect.mode", "before": "new-keep", "after": "all-delete"}
    ]
    assert "collects again" in step["consequences"][0]


def test_broken_directory(run: Run, root: Path) -> None:
    save(root, "a")
    remember(root, "a")
    save(root, "a", text("a").replace("host:", "hots:"))

    result = run("plan")

    assert result.exit_code == 2
    assert "= keep a: " in result.stdout
    assert f"{root}/a.yaml:5:28: error: " in result.stderr
    assert "[unknown-key]" in result.stderr


def test_no_directory(run: Run, elsewhere: Path) -> None:
    result = run("plan", "nowhere")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("mailcollector: nowhere")


def test_a_checkout_counts_as_if_it_stood_where_the_daemon_runs(
    run: Run, daemon: FakeDaemon, root: Path
) -> None:
    save(root, "a", text("a").replace("{env: P}", "{file: secret}"))
    from reconciler.manifests.loading import load  # noqa: PLC0415

    (one,) = load(root / "a.yaml").manifests
    daemon.answers["GET /in-force"] = (
        200,
        shown(stands(declare(one.manifest, one.file, one.line, one.base))),
    )
    shutil.copytree(root, root.parent / "checkout")

    assert run("plan", "checkout").exit_code == 0
    save(root.parent / "checkout", "b")
    assert run("plan", "checkout", "-o", "name").stdout == "b\n"
    assert run("plan").exit_code == 0
    assert "GET /in-force" in daemon.asked


def test_two_that_vanished_are_held(run: Run, root: Path) -> None:
    for name in ("a", "b"):
        save(root, name)
    remember(root, "a", "b")
    for name in ("a", "b"):
        (root / f"{name}.yaml").unlink()

    result = run("plan")
    assert result.exit_code == 0
    assert result.stdout.count("! hold ") == 2
    assert "--allow-empty" in result.stdout

    (root / ".allow-empty").touch()
    assert run("plan").exit_code == 1


def test_yaml_tells_the_same_as_json(run: Run, root: Path) -> None:
    """Its diagnostics too, whose severity is a StrEnum."""
    for name in ("a", "b"):
        save(root, name)  # of one account: a warning in each
    told = run("plan", "-o", "yaml")
    assert told.exit_code == 1
    found = YAML(typ="safe").load(told.stdout)
    assert found == json.loads(run("plan", "-o", "json").stdout)
    assert {each["severity"] for each in found["diagnostics"]} == {"warning"}
