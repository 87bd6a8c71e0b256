"""How often the owner of a mailbox may try passwords."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from reconciler.control.access_requests import AccessRequests
from reconciler.control.admission import Admission, admitted
from reconciler.control.host_health import target_of
from reconciler.control.host_limits import HostLimits
from reconciler.control.mailbox_access import MailboxAccess, NoAccessGiven, PasswordRefused
from reconciler.control.password_tries import FREE, PasswordTries
from reconciler.planning.desired_state import DesiredCollector, desire
from tests.planning.build import collector, observed


def test_refused_passwords_have_to_wait_longer_and_longer() -> None:
    now = [0.0]
    tries = PasswordTries(lambda: now[0])
    for _ in range(FREE):
        tries.require("sales")
        tries.failed("sales")
    with pytest.raises(NoAccessGiven, match="try again in 60 s"):
        tries.require("sales")
    tries.require("other")
    now[0] += 60
    tries.require("sales")
    tries.failed("sales")
    with pytest.raises(NoAccessGiven, match="try again in 120 s"):
        tries.require("sales")
    tries.succeeded("sales")
    tries.require("sales")


def test_refusals_are_forgotten_after_a_day() -> None:
    now = [0.0]
    tries = PasswordTries(lambda: now[0])
    for _ in range(30):
        tries.failed("sales")
    with pytest.raises(NoAccessGiven, match="3600 s"):
        tries.require("sales")
    now[0] += 3600 + 86_401
    tries.failed("sales")
    tries.require("sales")


class Refusing:
    """A server that refuses every password (`control.mailbox_access.MailboxAccess`)."""

    def __init__(self) -> None:
        self.asked = 0

    def set_password(
        self, collector: DesiredCollector, password: str, *, prove: bool = True
    ) -> None:
        self.asked += 1
        raise PasswordRefused("no")


def test_a_link_locks_no_account_and_its_logins_are_admitted() -> None:
    async def scenario() -> None:
        found = desire(observed(collector("sales")), {})
        refusing, admission = Refusing(), Admission(1, lambda _: HostLimits(1))
        access = AccessRequests(cast("MailboxAccess", refusing), lambda: found, admission)
        async with admitted(admission, target_of(found.collectors["sales"])):
            waiting = asyncio.create_task(access.set_password("sales", "a", by="the owner"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert refusing.asked == 0, "a session of its host runs"
        with pytest.raises(PasswordRefused):
            await waiting
        for _ in range(9):
            with pytest.raises(NoAccessGiven):
                await access.set_password("sales", "b", by="the owner")
        assert refusing.asked == FREE

    asyncio.run(scenario())
