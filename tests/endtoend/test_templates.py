"""Five hundred mailboxes at one provider: four lines each, and one template for all of them."""

from __future__ import annotations

import json
from typing import Any

from tests.endtoend.deployment import Daemon, Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small

MANY = 500


def template(dovecot: Dovecot, limit: int = 100) -> str:
    return f"""\
apiVersion: mailcollector/v1
kind: Template
metadata: {{name: provider}}
spec:
  source:
    protocol: imap
    host: localhost
    port: {dovecot.ports["imaps"]}
    caFile: {dovecot.ca_file}
    password: {{file: "../secrets/{{name}}"}}
  collect: {{interval: 1d, limit: {limit}}}
  recipient: {{forwardTo: "{{name}}@example.net"}}
"""


def manifest(name: str, username: str, *lines: str) -> str:
    return (
        "\n".join(
            [
                "apiVersion: mailcollector/v1",
                "kind: MailCollector",
                f"metadata: {{name: {name}}}",
                "spec:",
                "  from: provider",
                f"  source: {{username: {username}}}",
                *(f"  {line}" for line in lines),
            ]
        )
        + "\n"
    )


def deploy(deployment: Deployment, dovecot: Dovecot, account: str) -> None:
    (deployment.root / "secrets").mkdir()
    (deployment.root / "secrets" / "sales").write_text(f"{dovecot.password}\n")
    deployment.write("provider", template(dovecot))
    deployment.write("sales", manifest("sales", account))
    deployment.write("own", manifest("own", "nobody", "enabled: true", "collect: {limit: 7}"))
    for number in range(MANY - 2):
        deployment.write(f"m{number}", manifest(f"m{number}", f"nobody{number}"))


def everything(deployment: Deployment, daemon: Daemon) -> dict[str, dict[str, Any]]:
    def look() -> dict[str, dict[str, Any]] | None:
        found = deployment.get()
        return (
            found
            if len(found) == MANY and all(one["status"]["loopStartedAt"] for one in found.values())
            else None
        )

    return daemon.until("all of them", look)


def ran(found: dict[str, dict[str, Any]]) -> dict[str, tuple[int, str]]:
    return {
        name: (one["status"]["generation"], one["status"]["loopStartedAt"])
        for name, one in found.items()
    }


def stalled(one: dict[str, Any]) -> str:
    found = next(
        condition for condition in one["status"]["conditions"] if condition["type"] == "Stalled"
    )
    return str(found["message"]) if found["status"] == "True" else ""


def test_one_template_for_five_hundred(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, small(3))
    deploy(deployment, dovecot, user)
    checked = deployment.run("validate", str(deployment.manifests)).stdout
    assert f"{MANY + 2} manifests" in checked
    with deployment.daemon() as daemon:
        before = everything(deployment, daemon)
        deployment.run("collect", "sales", "--wait")
        assert before["sales"]["spec"]["source"]["host"] == "localhost"
        assert "Template:      provider\n" in deployment.run("describe", "sales").stdout

        deployment.write("provider", template(dovecot, limit=50))
        daemon.until(
            "the new limit", lambda: deployment.get("m7")["m7"]["spec"]["collect"]["limit"] == 50
        )
        after = deployment.get()
        assert [name for name in after if ran(after)[name] == ran(before)[name]] == ["own"]
        log = [json.loads(line) for line in deployment.log.splitlines() if '"replace"' in line]
        assert {(one["reason"], *one["changed"]) for one in log} == {
            ("its template provider changed", "spec.collect.limit")
        }
        assert len(log) == MANY - 1

        deployment.write("provider", template(dovecot).replace("limit", "lmit"))
        daemon.until("the mistake", lambda: stalled(deployment.get("m7")["m7"]))
        broken = deployment.get()
        assert ran(broken) == ran(after)
        assert stalled(broken["sales"]) == (
            f"{deployment.manifests}/sales.yaml:5:9: the Template `provider` is invalid: "
            f"{deployment.manifests}/"
            "provider.yaml:11:27: `lmit` is no field of spec.collect: did you mean `limit`?"
        )
        assert daemon.stop() == 0

    dovecot.deliver(user, small(5)[3:])
    with deployment.daemon() as daemon:
        again = everything(deployment, daemon)
        assert {name: generation for name, (generation, _) in ran(again).items()} == {
            name: generation for name, (generation, _) in ran(after).items()
        }
        assert stalled(again["sales"])
        deployment.run("collect", "sales", "--wait")
        (deployment.manifests / "provider.yaml").unlink()
        daemon.until(
            "that it is gone", lambda: "there is no Template" in stalled(deployment.get("m7")["m7"])
        )
        assert ran(deployment.get()) == ran(again)
        assert daemon.stop() == 0
    assert len(deployment.mail("sales")) == 5
