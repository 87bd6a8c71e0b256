"""The way of a change through git: planned in a checkout, merged, applied; and the verbs that edit
what runs."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small


def steps(deployment: Deployment, *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    planned = json.loads(deployment.run("plan", *arguments, "-o", "json", code=code).stdout)
    return {step["name"]: step for step in planned["steps"]}


def test_what_was_planned_is_what_happens(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    deployment.declare("sales", user, secret="../secret")
    deployment.declare("bystander", user)
    with deployment.daemon() as daemon:
        sales = daemon.condition("sales", "Ready", "True")
        bystander = daemon.condition("bystander", "Ready", "True")
        checkout = deployment.root / "elsewhere" / "collectors.d"
        shutil.copytree(deployment.manifests, checkout)
        assert {step["step"] for step in steps(deployment, str(checkout), code=0).values()} == {
            "Keep"
        }

        changed = (
            (checkout / "sales.yaml").read_text().replace("collect: {}", "collect: {interval: 1h}")
        )
        (checkout / "sales.yaml").write_text(changed)
        (checkout / "bystander.yaml").unlink()
        planned = steps(deployment, str(checkout), code=1)
        assert planned["sales"]["step"] == "Replace"
        assert planned["sales"]["changes"] == [
            {"field": "spec.collect.interval", "before": "5m", "after": "1h"}
        ]
        assert planned["bystander"]["step"] == "Stop"
        assert "3 messages remembered" in planned["bystander"]["consequences"][0]
        assert (
            deployment.get()["bystander"]["status"]["loopStartedAt"]
            == bystander["status"]["loopStartedAt"]
        )

        deployment.write("sales", changed)
        replaced = daemon.until(
            "the new interval",
            lambda: (
                (found := daemon.get()["sales"])["status"]["loopStartedAt"]
                != sales["status"]["loopStartedAt"]
                and found
            ),
        )
        assert replaced["spec"]["collect"]["interval"] == "1h"
        assert steps(deployment, code=0)["sales"]["reason"] == "unchanged"
        assert daemon.stop() == 0
    assert steps(deployment, code=0).keys() == {"sales", "bystander"}
    assert len(deployment.mail("sales")) == 3


def test_edited_disabled_and_removed_where_a_daemon_runs(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    for name in ("a", "b"):
        deployment.declare(name, user)
    with deployment.daemon() as daemon:
        before = {name: daemon.condition(name, "Ready", "True") for name in ("a", "b")}
        deployment.run("edit", "a", "--set", "spec.collect.limit=7")
        daemon.until("the limit", lambda: daemon.get()["a"]["spec"]["collect"]["limit"] == 7)
        deployment.run("disable", "a")
        daemon.condition("a", "Ready", "False")
        assert (
            deployment.get()["b"]["status"]["loopStartedAt"]
            == before["b"]["status"]["loopStartedAt"]
        )
        deployment.run("enable", "a")
        daemon.condition("a", "Ready", "True")
        deployment.remove("b")  # both at once would be held, were it not for the verb
        deployment.run("remove", "a", "--yes")
        daemon.until("none", lambda: not daemon.get())
        assert daemon.stop() == 0
    assert '"Held"' not in deployment.log


def test_M12_a_renamed_collector_collects_nothing_again(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    before = deployment.declare("old", user, to="sales@example.net")
    deployment.once()
    assert len(deployment.mail("sales")) == 3
    renamed = before.read_text().replace("name: old", "name: new")
    before.unlink()
    deployment.write("new", renamed)
    planned = steps(deployment, code=1)
    assert planned["new"]["consequences"] == [
        "only its name changed: the history of old goes on as new"
    ]
    assert planned["old"]["reason"] == "renamed to new"
    assert planned["old"]["consequences"] == []
    deployment.once()
    assert len(deployment.mail("sales")) == 3
    assert deployment.get()["new"]["status"]["totals"]["collected"] == 3

    with deployment.daemon() as daemon:
        daemon.condition("new", "Ready", "True")
        deployment.write("new", renamed.replace("name: new", "name: third"))
        daemon.condition("third", "Ready", "True")
        assert daemon.get()["third"]["status"]["totals"]["collected"] == 3
        assert daemon.stop() == 0
    assert len(deployment.mail("sales")) == 3
