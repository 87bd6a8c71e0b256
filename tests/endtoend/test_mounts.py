"""Hazard D3: a disk that is not mounted when the program starts, as after a reboot, or for `run
--once` by cron."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crashes.power import Disk
from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small


@pytest.fixture
def disk(deployment: Deployment) -> Iterator[Disk]:
    """The deployment's mail goes there."""
    with Disk(mebibytes=16) as disk:
        (deployment.root / "mail").symlink_to(disk.mounted)
        yield disk


def test_M1_nothing_is_delivered_and_nothing_deleted_until_it_is_mounted(
    deployment: Deployment, dovecot: Dovecot, user: str, disk: Disk
) -> None:
    deployment.declare("sales", user, mode="new-delete")
    dovecot.deliver(user, small(2, seed=user))
    deployment.once()
    assert dovecot.messages(user) == []
    dovecot.deliver(user, small(3, seed=f"{user} later"))
    disk.unmount()
    for _ in range(2):
        deployment.once(code=1)
    assert list(disk.mounted.iterdir()) == []
    assert len(dovecot.messages(user)) == 3
    last = deployment.get()["sales"]["status"]["lastSession"]
    assert last["error"]["reason"] == "DestinationUnavailable"
    assert f"{disk.mounted} is not mounted; " in last["error"]["message"]
    assert last["deleted"] == last["collected"] == 0
    assert "is not mounted" in deployment.run("describe", "sales").stdout
    disk.mount()
    deployment.once()
    assert len(deployment.mail("sales")) == 5
    assert dovecot.messages(user) == []


@pytest.mark.parametrize("daemon", [True, False])
def test_a_move_on_purpose_is_confirmed_once(
    deployment: Deployment, dovecot: Dovecot, user: str, disk: Disk, daemon: bool
) -> None:
    deployment.declare("sales", user, mode="new-delete")
    dovecot.deliver(user, small(1, seed=user))
    deployment.once()
    disk.unmount()
    dovecot.deliver(user, small(2, seed=f"{user} later"))
    if daemon:
        with deployment.daemon():
            deployment.run("collect", "sales", "--wait", code=1)
            deployment.run("collect", "sales", "--wait", "--accept-maildirs")
    else:
        deployment.run("collect", "sales", code=1)
        deployment.run("collect", "sales", "--accept-maildirs")
    dovecot.deliver(user, small(1, seed=f"{user} last"))
    deployment.once()
    assert len(deployment.mail("sales")) == 3
    disk.mount()
