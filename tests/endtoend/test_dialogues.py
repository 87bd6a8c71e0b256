"""What was said on the wire: kept without secrets by every process, and told by `logs`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small
from tests.sources.said import leaks

WRONG = "hunter-forty-two-and-more"


def everything_kept(deployment: Deployment) -> str:
    """Every file of the state directory, and the daemon's log."""
    files = [
        path for path in deployment.state.rglob("*") if path.is_file() and "mail" not in path.parts
    ]
    log = deployment.root / "daemon.log"
    return "".join(
        path.read_bytes().decode("latin-1") for path in [*files, *([log] if log.exists() else [])]
    )


def dialogues(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    found = json.loads(deployment.run("logs", name, "--protocol", "-o", "json").stdout)
    return list(found["dialogues"])


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_S1_logs_tells_what_was_said_with_a_daemon_and_without_one(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    dovecot.deliver(user, small(3))
    deployment.declare("sales", user, protocol=protocol, tls="none", mode="new-delete")
    wrong = deployment.root / "wrong"
    wrong.write_text(WRONG)
    wrong.chmod(0o600)
    deployment.declare("info", user, protocol=protocol, tls="none", secret=str(wrong))

    deployment.once(code=1)

    told = {name: dialogues(deployment, name) for name in ("sales", "info")}
    assert [one["outcome"] for one in told["sales"]] == ["succeeded"]
    assert [one["reason"] for one in told["info"]] == ["AuthenticationFailed"]
    texts = [line["text"] for line in told["sales"][0]["lines"]]
    assert any("EXPUNGE" in text or "DELE" in text for text in texts), texts
    with deployment.daemon() as daemon:
        daemon.until("a session", lambda: len(dialogues(deployment, "sales")) == 2)
        assert dialogues(deployment, "info")[-1] == told["info"][0]  # kept across the restart
        transport = httpx.HTTPTransport(uds=str(deployment.state / "control.sock"))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as http:
            path = "/api/v1/collectors/sales/dialogue"
            answer = http.get(path, headers={"Accept": "text/plain"})
            assert answer.headers["content-type"].startswith("text/plain")
            assert "[redacted]" in answer.text
            deployment.run("check", "info", "--force", code=1)
            checked = http.get("/api/v1/collectors/info/dialogue").json()["items"][0]
            assert (checked["what"], checked["outcome"]) == ("check", "failed")
            said = json.dumps([told, http.get(path).json(), checked]) + answer.text
            assert http.get("/api/v1/collectors/nobody/dialogue").status_code == 404
    said += deployment.run("logs", "info").stdout + deployment.run("describe", "info").stdout
    for text in (said, everything_kept(deployment)):
        assert not leaks(text, WRONG, user)
        assert dovecot.password not in text
    assert not leaks(json.dumps(told["sales"]), dovecot.password, user)
    for file in (deployment.state / "dialogues").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_deletions_that_are_due_are_told(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    deployment.declare("sales", user, tls="none", mode="new-keep")

    def due() -> object:
        return json.loads(deployment.run("describe", "sales", "-o", "json").stdout)["dueDeletions"]

    assert due() is None
    deployment.once()
    assert due() is None
    deployment.declare("sales", user, tls="none", mode="new-delete")
    assert due() == 3
    assert "Due deletions: 3 collected" in deployment.run("describe", "sales").stdout
    deployment.once()
    assert due() == 0
    assert dovecot.messages(user) == []
