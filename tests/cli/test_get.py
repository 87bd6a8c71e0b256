"""`mailcollector get`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.cli.collector_list import table
from reconciler.model.status import Condition, ShownCollector
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.golden import golden
from tests.cli.samples import NOW, at, collector, info, sales, session


def test_table_as_it_is_printed() -> None:
    running = collector(
        "busy",
        ready="Unknown",
        reason="Starting",
        last=session(finished_at=None, collected=5, listed=40, skipped=3),
    )
    idle = collector("новый".encode("idna").decode(), last=None)
    invalid = collector("broken", ready="False", reason="InvalidManifest").model_copy(
        update={"spec": {}}
    )

    golden("get.txt", table([sales(), info(), running, idle, invalid, last_good()], NOW))


def last_good() -> ShownCollector:
    """One that runs, with a manifest that broke."""
    found = collector("broke", loop_started_at=at(-60))
    stalled = Condition(
        type="Stalled", status="True", reason="InvalidManifest", last_transition_time=at(-30)
    )
    return found.model_copy(
        update={
            "status": found.status.model_copy(
                update={"conditions": (*found.status.conditions, stalled)}
            )
        }
    )


def test_what_is_wrong_with_a_running_one_is_shown_beside_ready(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.collectors = [last_good()]

    assert "broke  True   InvalidManifest, last good runs  imap" in run("get").stdout


def test_daemon_is_asked(run: Run, daemon: FakeDaemon) -> None:
    result = run("get")

    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["NAME", "READY"],
        ["sales", "True"],
        ["info", "False"],
    ]
    assert daemon.asked == ["GET /collectors?limit=1000"]


def test_a_long_list_is_asked_for_in_pages(run: Run, daemon: FakeDaemon) -> None:
    daemon.page = 1

    assert run("get", "-o", "name").stdout == "sales\ninfo\n"
    assert daemon.asked == [
        "GET /collectors?limit=1000",
        "GET /collectors?limit=1000&after=sales",
    ]


def test_M14_what_a_server_said_stays_in_its_line(run: Run, daemon: FakeDaemon) -> None:
    daemon.collectors = [collector(reason="Evil\x1b[2J\nsales", ready="False")]

    result = run("get")

    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.stdout


def test_without_a_daemon_manifests_and_ledger_are_read(run: Run, app: FakeApp) -> None:
    assert run("get", "-o", "name").stdout == "sales\ninfo\n"


def test_json_is_a_list_of_metadata_spec_and_status(run: Run, daemon: FakeDaemon) -> None:
    printed = json.loads(run("get", "sales", "-o", "json").stdout)

    assert [sorted(one) for one in printed] == [["metadata", "spec", "status"]]
    assert printed[0]["status"]["lastSession"]["skippedReasons"] == {"collected-before": 3}
    assert printed[0]["status"]["nextSession"] == "2026-11-22T22:42:00.000000Z"


def test_yaml_says_the_same_as_json(run: Run, daemon: FakeDaemon) -> None:
    as_yaml, as_json = (run("get", "-o", form).stdout for form in ("yaml", "json"))

    assert YAML(typ="safe", pure=True).load(as_yaml) == json.loads(as_json)
    assert "Почта отдела продаж" in as_yaml


def test_empty_list_is_valid_json_and_no_error(run: Run, daemon: FakeDaemon) -> None:
    daemon.collectors = []

    assert (run("get", "-o", "json").stdout, run("get").exit_code) == ("[]\n", 0)
    assert run("get").stderr == "no collectors\n"


@pytest.mark.parametrize("where", ["daemon", "app"])
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--search", "ПОЧТА отдела"], ["sales"]),
        (["-l", "team=info"], ["info"]),
        (["--label", "team=x"], []),
        (["--search", "@ИКС.рф", "-l", "team=sales"], ["sales"]),
        (["info", "sales", "info"], ["info", "sales"]),
        (["info", "--search", "nobody"], []),
    ],
)
def test_selection(
    run: Run, request: pytest.FixtureRequest, where: str, arguments: list[str], names: list[str]
) -> None:
    request.getfixturevalue(where)

    result = run("get", *arguments, "-o", "name")

    assert result.exit_code == 0
    assert result.stdout.split() == names


@pytest.mark.parametrize("where", ["daemon", "app"])
def test_unknown_name_is_told_with_the_nearest(
    run: Run, request: pytest.FixtureRequest, where: str
) -> None:
    request.getfixturevalue(where)

    result = run("get", "sale", "info", "-o", "name")

    assert result.exit_code == 1
    assert result.stdout == "info\n"
    assert result.stderr == "mailcollector: there is no collector 'sale': did you mean sales?\n"


def test_a_selector_that_is_none_is_a_usage_error(run: Run) -> None:
    result = run("get", "-l", "team=(")

    assert result.exit_code == 2
    assert "'team=(' selects nothing: write team=sales" in " ".join(result.stderr.split())


def test_no_daemon_and_no_manifests_is_a_usage_error(run: Run, elsewhere: Path) -> None:
    result = run("get")

    assert result.exit_code == 2
    assert "no daemon runs over state, and collectors.d is no directory" in " ".join(
        result.stderr.split()
    )


def test_other_manifests_than_the_daemons_are_refused(
    run: Run, daemon: FakeDaemon, elsewhere: Path
) -> None:
    assert run("get", "--manifests", "collectors.d").exit_code == 0

    result = run("get", "--manifests", "other.d")

    assert result.exit_code == 2
    assert "not other.d" in " ".join(result.stderr.split())


def test_wide_tables_have_more_columns(run: Run, daemon: FakeDaemon) -> None:
    header, *lines = run("get", "-o", "wide").stdout.splitlines()
    assert header.split()[-2:] == ["LABELS", "TITLE"]
    assert "team=sales" in lines[0]


def test_headers_are_left_out(run: Run, daemon: FakeDaemon) -> None:
    assert run("get").stdout.splitlines()[1:3] == run("get", "--no-headers").stdout.splitlines()[:2]
    assert (
        len(run("get", "-o", "custom-columns=N:.metadata.name", "--no-headers").stdout.split()) == 2
    )


def test_custom_columns_and_jsonpath(run: Run, daemon: FakeDaemon) -> None:
    columns = run(
        "get", "-o", "custom-columns=NAME:.metadata.name,X:.spec.nothing"
    ).stdout.splitlines()
    assert columns[0].split() == ["NAME", "X"]
    assert columns[1].split()[1] == "<none>"
    assert run("get", "sales", "-o", "jsonpath={.metadata.name}").stdout == "sales\n"
    assert run("get", "-o", "jsonpath={.items[*].metadata.labels.team}").stdout == "sales info\n"
    assert (
        run("get", "-o", 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}').stdout
        == "sales\ninfo\n"
    )
    for wrong in ("jsonpath={.a", "custom-columns=", "custom-columns=A", "xml", "jsonpath"):
        assert run("get", "-o", wrong).exit_code == 2


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("name", ["info", "sales"]),
        (".metadata.name", ["info", "sales"]),
        ("{.metadata.labels.team}", ["info", "sales"]),
        ("COLLECTED", None),
    ],
)
def test_sorted(run: Run, daemon: FakeDaemon, key: str, names: list[str] | None) -> None:
    result = run("get", "--sort-by", key, "-o", "name")
    assert result.exit_code == 0
    assert names is None or result.stdout.split() == names
    assert run("get", "--sort-by", "nonsense").exit_code == 2


@pytest.mark.parametrize("path", [".nonsense", ".status.totals.colected", "{.metadata.labels.x}"])
def test_sorting_by_a_field_that_nothing_has_is_a_usage_error(
    run: Run, daemon: FakeDaemon, path: str
) -> None:
    result = run("get", "--sort-by", path)
    assert result.exit_code == 2
    assert f"--sort-by {path}: no collector in the list has this field" in result.stderr


def test_sorting_an_empty_list_by_any_path_is_no_error(run: Run, daemon: FakeDaemon) -> None:
    daemon.collectors = []
    assert run("get", "--sort-by", ".nonsense").exit_code == 0


def test_columns_may_be_empty_in_every_row(run: Run, daemon: FakeDaemon) -> None:
    assert run("get", "--sort-by", "next", "-l", "team=nobody").exit_code == 0
    assert run("get", "--sort-by", "title").exit_code == 0


def test_selectors_of_kubectl(run: Run, daemon: FakeDaemon) -> None:
    for wanted, names in (
        ("team==sales", ["sales"]),
        ("team!=sales", ["info"]),
        ("team in (sales,x)", ["sales"]),
        ("team=sales,other=x", []),
        ("!other", ["sales", "info"]),
        ("team", ["sales", "info"]),
    ):
        assert run("get", "-l", wanted, "-o", "name").stdout.split() == names, wanted


def test_nobody_runs_what_is_shown(run: Run, app: FakeApp) -> None:
    result = run("get", "-o", "name", "--state-dir", "elsewhere")
    assert result.exit_code == 0
    assert result.stderr == (
        "mailcollector: no daemon runs over elsewhere, which does not exist: this is what the "
        "manifests and the ledger say\n"
    )
    assert "no daemon runs over" in run("describe", "sales").stderr


def test_a_daemon_is_nothing_to_talk_about(run: Run, daemon: FakeDaemon) -> None:
    assert run("get").stderr == ""
