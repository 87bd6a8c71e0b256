"""Push end to end: the daemon, a real server, and mail that is delivered long before the interval ends."""

from __future__ import annotations

import signal

import pytest

from tests.endtoend.deployment import Deployment
from tests.servers import mail
from tests.servers.dovecot import Dovecot


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
def test_mail_is_delivered_when_it_comes(deployment: Deployment, dovecot: Dovecot, user: str, mode: str) -> None:
    dovecot.deliver(user, [mail.message(1)])
    deployment.declare("sales", user, interval="24h", push="true", mode=mode)
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        for number in (2, 3):
            dovecot.deliver(user, [mail.message(number)])
            daemon.until(f"message {number}", lambda number=number: len(deployment.mail("sales")) == number)  # type: ignore[misc]
        assert daemon.stop(signal.SIGTERM) == 0
    assert "Traceback" not in deployment.log
