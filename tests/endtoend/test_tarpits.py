"""Servers that take connections and stay silent keep nobody else from his interval: a daemon, and
real connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.endtoend.deployment import Deployment
from tests.endtoend.watched import manifest
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small


def test_N9_M10_a_good_collector_keeps_its_interval_beside_silent_servers(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    """A session that has to wait for a silent one comes too late on any machine: these have ten
    minutes each."""
    dovecot.deliver(user, small(1))
    with ExitStack() as opened:
        for host in range(6):  # with eight collectors each: more than there may be sessions
            silent = opened.enter_context(socket.create_server((f"127.0.1.{host + 1}", 0)))
            port = silent.getsockname()[1]
            for number in range(8):
                name = f"tar{host}-{number}"
                deployment.write(
                    name,
                    manifest(name, "5s").replace(
                        "host: 127.0.0.1, port: 1,",
                        f"host: 127.0.1.{host + 1}, port: {port}, timeout: 10m,",
                    ),
                )
        deployment.declare("good", user, interval="5s")
        with deployment.daemon() as daemon:
            daemon.until(
                "three sessions of good",
                lambda: daemon.get()["good"]["status"]["totals"]["sessions"] >= 3,
            )
            shown = daemon.get()
            assert not any(
                found["status"]["totals"]["collected"]
                for name, found in shown.items()
                if name != "good"
            )
            assert daemon.stop() == 0
    assert len(deployment.mail("good")) == 1
