"""While it runs: add, change, break, mend, remove; `get` tells the truth at each step, and the
others never restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.control.controller import RELIST
from tests.endtoend.deployment import Daemon, Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small


def identity(found: dict[str, Any]) -> tuple[int, str]:
    """What a restart would change."""
    return found["status"]["generation"], found["status"]["loopStartedAt"]


def reasons(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        condition["type"]: (condition["status"], condition["reason"])
        for condition in found["status"]["conditions"]
    }


def test_add_change_break_mend_and_remove(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(4))
    deployment.declare("bystander", user)
    with deployment.daemon() as daemon:
        bystander = identity(daemon.condition("bystander", "Ready", "True"))
        _add_and_change(deployment, daemon, user)
        _break_and_mend(deployment, daemon)
        deployment.remove("sales")
        daemon.until("sales gone", lambda: "sales" not in daemon.get())
        assert identity(deployment.get()["bystander"]) == bystander
        assert daemon.stop() == 0
    assert len(deployment.mail("sales")) == 4


def test_a_pause_holds_without_a_daemon_too(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    """`run --once` is for cron: whoever pauses the service means that as well."""
    dovecot.deliver(user, small(2))
    deployment.declare("sales", user)
    assert "no daemon runs" in deployment.run("pause", "--reason", "a move").stdout

    deployment.once()
    asked = deployment.run("collect", "sales", code=1)
    assert "Paused: the service is paused by " in asked.stdout
    assert reasons(deployment.get()["sales"])["Ready"] == ("Unknown", "Paused")
    listed = deployment.run("get").stdout.splitlines()
    assert [
        line.endswith(": a move") for line in listed if "The service is paused by " in line
    ] == [True]
    assert deployment.mail("sales") == []

    deployment.run("resume")
    deployment.once()
    assert len(deployment.mail("sales")) == 2


def _add_and_change(deployment: Deployment, daemon: Daemon, user: str) -> None:
    path = deployment.declare("sales", user)
    added = daemon.condition("sales", "Ready", "True")
    assert added["status"]["lastSession"]["collected"] == 4
    assert (added["status"]["generation"], added["status"]["observedGeneration"]) == (1, 1)
    deployment.write(
        "sales", path.read_text().replace("name: sales}", "name: sales, labels: {team: a}}")
    )
    labelled = daemon.until(
        "labels", lambda: (found := daemon.get()["sales"])["metadata"]["labels"] and found
    )
    assert identity(labelled) == identity(added)

    deployment.declare("sales", user, interval="1h")
    changed = daemon.until(
        "generation 2",
        lambda: (
            (found := daemon.get()["sales"])["status"]["observedGeneration"] == 2
            and reasons(found)["Ready"][0] == "True"
            and found
        ),
    )
    assert changed["status"]["loopStartedAt"] > added["status"]["loopStartedAt"]
    assert changed["spec"]["collect"]["interval"] == "1h"
    assert changed["status"]["totals"]["collected"] == 4


def _break_and_mend(deployment: Deployment, daemon: Daemon) -> None:
    path = deployment.manifests / "sales.yaml"
    good, before = path.read_text(), identity(deployment.get()["sales"])
    deployment.write("sales", good.replace("username:", "usrname:"))
    broken = daemon.condition("sales", "Stalled", "True")
    assert reasons(broken)["Stalled"] == ("True", "InvalidManifest")
    stalled = next(found for found in broken["status"]["conditions"] if found["type"] == "Stalled")
    assert "username" in stalled["message"]
    assert str(path) in stalled["message"]
    assert reasons(broken)["Ready"][0] == "True"
    assert identity(broken) == before
    deployment.write("sales", good)
    mended = daemon.condition("sales", "Stalled", "False")
    assert identity(mended) == before


def test_a_saved_file_is_acted_upon_by_an_event_not_by_the_timer(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(1))
    with deployment.daemon() as daemon:
        saved = datetime.now(UTC)
        deployment.declare("sales", user)
        found = daemon.condition("sales", "Ready", "True")
    started = datetime.fromisoformat(found["status"]["loopStartedAt"])
    assert started - saved < timedelta(seconds=RELIST / 2)
    assert found["status"]["totals"]["collected"] == 1


def test_a_last_good_version_survives_a_restart_over_a_broken_file(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(2))
    deployment.declare("sales", user)
    deployment.once()
    deployment.write("sales", "apiVersion: [broken\n")
    dovecot.deliver(user, small(1, seed="later"))
    with deployment.daemon() as daemon:
        found = daemon.condition("sales", "Stalled", "True")
        daemon.until("new mail", lambda: len(deployment.mail("sales")) == 3)
    assert reasons(found)["Stalled"][1] == "InvalidManifest"


def test_a_removed_collector_that_returns_collects_nothing_twice(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    path = deployment.declare("sales", user)
    text = path.read_text()
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        deployment.remove("sales")
        daemon.until("sales gone", lambda: "sales" not in daemon.get())
        deployment.write("sales", text)
        found = daemon.until(
            "its session",
            lambda: (
                (shown := daemon.get().get("sales"))
                and shown["status"]["totals"]["sessions"] == 2
                and shown
            ),
        )
    assert found["status"]["lastSession"]["skippedReasons"] == {"collected-before": 3}
    assert len(deployment.mail("sales")) == 3


def test_disabled_stops_and_enabled_starts(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    path = deployment.declare("sales", user)
    text = path.read_text()
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        deployment.write("sales", text.replace("spec:\n", "spec:\n  enabled: false\n"))
        found = daemon.condition("sales", "Ready", "False")
        assert reasons(found)["Ready"] == ("False", "Disabled")
        assert reasons(found)["Stalled"][0] == "False"
        deployment.write("sales", text)
        daemon.condition("sales", "Ready", "True")


def test_collect_with_a_daemon_waits_and_tells(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    deployment.declare("sales", user, interval="1h")
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        dovecot.deliver(user, small(5))
        told = deployment.run("collect", "sales", "--wait").stdout
        assert "collected 5" in told
        deployment.run("clear", "sales", "--yes")
        assert "collected 5" in deployment.run("collect", "--all", "--wait").stdout
    assert len(deployment.mail("sales")) == 10
