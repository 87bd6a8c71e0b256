"""What is said right now: in a session whose server is silent, and over a push connection."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from reconciler.web.access.roles import Role
from tests.endtoend.deployment import Daemon
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import Reply, imap
from tests.sources.said import leaks
from tests.web.browser.stage import Stage, open_stage
from tests.web.test_collector_page import logged_in

PATIENCE = 120


def declare(stage: Stage, name: str, server: Scripted, collect: str) -> None:
    stage.deployment.write(
        name,
        f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source:
    {{protocol: imap, host: {server.host}, port: {server.port}, tls: none, username: user,
      timeout: 10m, password: {{file: {stage.deployment.secret}}}}}
  collect: {{interval: 24h, mode: new-keep{collect}}}
  recipient: {{forwardTo: {name}@example.net}}
""",
    )


def said(daemon: Daemon, name: str, what: str, *texts: str) -> dict[str, Any]:
    """The running dialogue, as soon as a line begins with each of the texts."""

    def look() -> dict[str, Any] | None:
        for one in daemon.request(f"/api/v1/collectors/{name}/dialogue").json()["items"]:
            lines = [line["text"] for line in one["lines"]]
            found = [any(line.startswith(text) for line in lines) for text in texts]
            if one["what"] == what and one["outcome"] == "running" and all(found):
                return dict(one)
        return None

    return daemon.until(f"{texts} over {name}", look)


def broken_push(daemon: Daemon) -> dict[str, Any] | None:
    items = daemon.request("/api/v1/collectors/sales/dialogue").json()["items"]
    pushes = (one for one in items if one["what"] == "push" and one["outcome"] == "failed")
    return next(pushes, None)


def test_S1_a_session_that_waits_for_its_server_is_shown_with_what_was_said_so_far(
    tmp_path: Path, dovecot: Dovecot
) -> None:
    password = dovecot.password
    half, go_on = threading.Event(), threading.Event()

    def silent(client: Client, _: bytes) -> None:
        client.send(b"* OK first\r\n* OK hello " + password[:5].encode())
        half.set()
        assert go_on.wait(PATIENCE)
        client.send(password[5:].encode() + b"\r\n")
        client.wait()

    with Scripted(imap({"EXAMINE": silent})) as server:
        stage = open_stage(tmp_path / "deployment", dovecot)
        declare(stage, "sales", server, "")
        with stage.running() as daemon:
            assert half.wait(PATIENCE)
            before = said(daemon, "sales", "session", "* OK first")
            assert before["finishedAt"] is None
            assert before["reason"] == ""
            assert not leaks(str(before), password)
            assert "hello" not in str(before)
            go_on.set()
            after = said(daemon, "sales", "session", "* OK hello [redacted]")
            assert after["startedAt"] == before["startedAt"]
            told = stage.deployment.run("logs", "sales", "--protocol").stdout
            assert told.splitlines()[0].endswith("Z: running")
            assert told.splitlines()[-1].endswith("imap < * OK hello [redacted]")
            with logged_in(stage, Role.OPERATE) as client:
                page = client.get("/collectors/sales/dialogue").text
                file = client.get("/collectors/sales/dialogue.txt").text
            assert "not over yet" in page
            assert "* OK hello [redacted]" in page
            assert file == told
            for text in (str(after), told, page):
                assert not leaks(text, password)


def test_S1_a_push_connection_is_shown_while_it_is_open_and_when_it_broke(
    tmp_path: Path, dovecot: Dovecot
) -> None:
    password = dovecot.password
    end = threading.Event()

    def idle(client: Client, _: bytes) -> None:
        client.send(b"+ idling\r\n* OK hello " + password[:5].encode())
        client.send(password[5:].encode() + b"\r\n* 0 EXISTS\r\n")
        assert end.wait(PATIENCE)
        client.send(b"* BYE\r\n")

    replies: dict[str, Reply] = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\nTAG OK done\r\n",
        "EXAMINE": b"* 0 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK done\r\n",
        "UID FETCH": b"TAG OK done\r\n",
        "IDLE": idle,
    }
    with Scripted(imap(replies)) as server:
        stage = open_stage(tmp_path / "deployment", dovecot)
        declare(stage, "sales", server, ", push: true")
        with stage.running() as daemon:
            shown = said(daemon, "sales", "push", "IDLE IDLE", "* OK [", "* 0 EXISTS")
            assert shown["finishedAt"] is None
            assert "hello" not in str(shown)
            told = stage.deployment.run("logs", "sales", "--protocol").stdout
            assert any(
                line.startswith("push ") and line.endswith("Z: running")
                for line in told.splitlines()
            )
            with logged_in(stage, Role.OPERATE, "ru") as client:
                page = client.get("/collectors/sales/dialogue").text
            assert "Соединение IDLE" in page
            assert "ещё идёт" in page
            for text in (str(shown), told, page):
                assert not leaks(text, password)
            end.set()
            kept = daemon.until("the end of the connection", lambda: broken_push(daemon))
            assert kept["startedAt"] == shown["startedAt"]
            assert kept["reason"] == "ConnectionFailed"
            told = stage.deployment.run("logs", "sales", "--protocol").stdout
            assert "IDLE IDLE" in told
            for text in (str(kept), told):
                assert not leaks(text, password)
