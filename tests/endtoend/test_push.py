"""Push end to end: the daemon, a real server, and mail that is delivered long before the interval
ends."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from imapclient import IMAPClient

from tests.endtoend.deployment import Daemon, Deployment
from tests.servers import mail
from tests.servers.dovecot import Dovecot

Record = Callable[[str, object], None]


def arrived(daemon: Daemon, count: int) -> float:
    """When so many messages are there; by the monotonic clock."""
    daemon.until(f"message {count}", lambda: len(daemon.deployment.mail("sales")) == count)
    return time.monotonic()


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
def test_mail_is_delivered_when_it_comes(
    deployment: Deployment, dovecot: Dovecot, user: str, mode: str, record_property: Record
) -> None:
    """Nothing else could have begun these sessions: the interval is a day. How long each took is
    recorded; of it about half a second is Dovecot's, which tells of a file that long after it came.
    """
    dovecot.deliver(user, [mail.message(1)])
    deployment.declare("sales", user, interval="24h", push="true", mode=mode)
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        latencies = []
        for number in (2, 3):
            sent = time.monotonic()
            dovecot.deliver(user, [mail.message(number)])
            latencies.append(round(arrived(daemon, number) - sent, 3))
        daemon.until(
            "a session for each", lambda: daemon.get()["sales"]["status"]["totals"]["sessions"] >= 3
        )
        assert daemon.stop(signal.SIGTERM) == 0
    record_property("latency_seconds", latencies)
    print(f"from the server to the Maildir: {latencies} s")
    assert "Traceback" not in deployment.log


def test_with_several_folders_mail_in_each_is_delivered_when_it_comes(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.create(user)
    dovecot.create(user, "Lists.news")
    deployment.write(
        "sales",
        f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: sales}}
spec:
  source:
    {{protocol: imap, host: localhost, port: {dovecot.ports["imap"]}, tls: none, username: {user},
      folders: [INBOX, Lists/*], password: {{file: {deployment.secret}}}}}
  collect: {{interval: 24h, push: true}}
  recipient: {{forwardTo: sales@example.net}}
""",
    )
    with (
        deployment.daemon() as daemon,
        IMAPClient(dovecot.host, dovecot.ports["imap"], ssl=False) as other,
    ):
        other.login(user, dovecot.password)
        daemon.condition("sales", "Ready", "True")
        for number, folder in enumerate(["Lists.news", "INBOX", "Lists.news"], 1):
            other.append(folder, mail.message(number))
            arrived(daemon, number)
        assert daemon.stop(signal.SIGTERM) == 0


def test_I31_when_the_server_ends_it_the_interval_holds(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, [mail.message(1)])
    deployment.declare("sales", user, interval="5s", push="true")
    with deployment.daemon() as daemon:
        arrived(daemon, 1)
        kicked = subprocess.run(
            ["doveadm", "-c", str(dovecot.root / "dovecot.conf"), "kick", user],
            capture_output=True,
            text=True,
            check=False,
        )
        assert kicked.returncode == 0, kicked.stderr
        daemon.until("push is given up", lambda: "push interrupted" in deployment.log)
        dovecot.deliver(user, [mail.message(2)])
        arrived(daemon, 2)
        found: dict[str, Any] = daemon.condition("sales", "Ready", "True")
        assert found["status"]["lastSession"]["error"] is None
        assert daemon.stop(signal.SIGTERM) == 0
