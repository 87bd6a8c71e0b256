"""`mailcollector describe`."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.collector_summary import declared_fields
from reconciler.cli.verbs.describe import description_lines
from reconciler.model.status import Failing, ShownAlert
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.golden import golden
from tests.cli.samples import NOW, collector, description, info


def test_text_as_it_is_printed() -> None:
    golden("describe-sales.txt", description_lines(description(), NOW))


def test_text_of_a_stalled_one() -> None:
    golden(
        "describe-info.txt",
        description_lines(description(info(), sessions=(), parked=(), source=None), NOW),
    )


def test_detect_and_other_words_of_a_spec() -> None:
    spec = {
        "enabled": False,
        "source": {
            "protocol": "imap",
            "host": "h",
            "port": 143,
            "tls": "starttls",
            "username": "u",
            "address": "a@b",
        },
        "collect": {
            "mode": "all-delete",
            "interval": "1h30m",
            "limit": 0,
            "push": True,
            "maxMessageSize": "1MiB",
        },
        "recipient": {"detect": {"from": ["почта.рф", "b.example"], "to": "икс.рф"}},
        "destination": "local",
    }

    assert list(declared_fields(spec)) == [
        ("Enabled", "no"),
        ("Server", "imap, h:143, tls starttls"),
        ("Account", "u, address a@b"),
        ("Folders", "INBOX"),
        ("Collect", "all-delete, every 1h30m, all messages in one session, none over 1MiB, push"),
        ("Recipient", "detected: почта.рф, b.example to икс.рф, else parked"),
        ("Destination", "local"),
    ]


def test_a_server_s_alert_is_told() -> None:
    alert = ShownAlert(text="the quota is\x1b[31m nearly used up", at=NOW)
    assert (
        "Alert:         the quota is\\x1b[31m nearly used up (the server, 0s ago)"
        in description_lines(description(alerts=(alert,)), NOW)
    )


def test_a_message_that_failed_is_told_with_the_words_and_what_happens_next() -> None:
    failing = Failing(
        folder="INBOX",
        key="5",
        size=700,
        attempts=2,
        reason="it said: \x1b[31mbad disk",
        since=NOW,
        last_attempt=NOW,
        next_attempt=None,
        next="the next session asks for it by itself; parked after 3 more failures",
    )
    assert description_lines(description(parked=(), failing=(failing,)), NOW)[-3:] == [
        "Failed messages:",
        "  FOLDER  KEY  SIZE   ATTEMPTS  LAST    NEXT" + " " * 66 + "REASON",
        f"  INBOX   5    700 B  2         0s ago  {failing.next}  it said: \\x1b[31mbad disk",
    ]


def test_M14_no_line_is_forged_and_nothing_acts_on_the_terminal(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.describe(description(info()))

    printed = run("describe", "info").stdout

    assert printed.replace("\n", "").isprintable()
    assert not [line for line in printed.splitlines() if line.startswith("sales")]


def test_json_is_the_description(run: Run, daemon: FakeDaemon) -> None:
    daemon.describe(description())

    printed = json.loads(run("describe", "sales", "-o", "json").stdout)

    assert sorted(printed) == [
        "alerts",
        "collector",
        "dueDeletions",
        "epoch",
        "events",
        "failing",
        "historySize",
        "parked",
        "sessions",
        "source",
    ]
    assert printed["historySize"] == 1234


@pytest.mark.parametrize(
    ("output", "first"),
    [("yaml", "collector:"), ("name", "sales"), ("table", "Name:          sales")],
)
def test_other_forms(run: Run, app: FakeApp, output: str, first: str) -> None:
    assert run("describe", "sales", "-o", output).stdout.splitlines()[0] == first


@pytest.mark.parametrize("where", ["daemon", "app"])
@pytest.mark.parametrize("name", ["salse", "../sales", "sales/clear", ""])
def test_unknown_name(run: Run, request: pytest.FixtureRequest, where: str, name: str) -> None:
    request.getfixturevalue(where)

    result = run("describe", name)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"mailcollector: there is no collector {name!r}")
    assert result.stdout == ""


def test_one_that_never_was_valid_is_told_too() -> None:
    bare = collector(ready="False", reason="InvalidManifest", message="unknown key").model_copy(
        update={"spec": {}}
    )

    lines = description_lines(description(bare, sessions=(), parked=()), NOW)

    assert not [line for line in lines if line.startswith("Server:")]
    assert lines[-2].split() == ["Ready", "False", "InvalidManifest", "2h", "ago", "unknown", "key"]
