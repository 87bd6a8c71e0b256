"""Give collectors access to mailboxes, as the page requests it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from reconciler.control.admission import Admission, NotAdmitted, admitted
from reconciler.control.event_loop import ThreadPool
from reconciler.control.host_health import target_of
from reconciler.control.mailbox_access import MailboxAccess, NoAccessGiven, PasswordRefused
from reconciler.control.password_tries import PasswordTries
from reconciler.log import log
from reconciler.model.consent_request import BrowserConsent
from reconciler.planning.desired_state import Desired, DesiredCollector


class AccessRequests:
    """Keeps the passwords and consents that owners of mailboxes give. Every method raises
    NoAccessGiven where no valid collector has this name, and CollectorError. Logins are admitted to
    a host as sessions are."""

    def __init__(
        self,
        gives: MailboxAccess,
        desired: Callable[[], Desired | None],
        admission: Admission,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gives = gives
        self._desired = desired
        self._admission = admission
        self._tries = PasswordTries(clock)
        self._trying: dict[str, asyncio.Lock] = {}
        """By collector: one password at a time, so that each counts before the next is tried."""
        self._threads = ThreadPool("access", 2)

    def mailbox(self, name: str) -> str:
        """Return the user name that the collector logs in with."""
        return str(self._collector(name).effective.source.username)

    def access_method(self, name: str) -> str:
        """Return what the owner can give: `password`, `consent`, or "" for nothing."""
        return self._gives.access_method(self._collector(name))

    async def stamp(self, name: str) -> str:
        """Return a text that changes when the secret is written."""
        return await self._threads.run(self._gives.stamp, self._collector(name))

    async def set_password(self, name: str, password: str, by: str) -> None:
        """Keep a password, unless the server refuses it. After several that it refused the next
        one has to wait."""
        collector = self._collector(name)
        async with self._trying.setdefault(name, asyncio.Lock()):
            self._tries.require(name)
            try:
                await self._proven(collector, password)
            except PasswordRefused:
                self._tries.failed(name)
                log.warning("password refused", collector=name, by=by)
                raise
        self._tries.succeeded(name)
        log.info("password set", collector=name, by=by)

    async def _proven(self, collector: DesiredCollector, password: str) -> None:
        keep = self._gives.set_password
        try:
            async with admitted(self._admission, target_of(collector), urgent=True):
                await self._threads.run(keep, collector, password)
        except NotAdmitted:  # its host is away, which says nothing about the password
            await self._threads.run(partial(keep, prove=False), collector, password)

    async def begin_consent(self, name: str, address: str) -> BrowserConsent:
        """Begin a consent in a browser, which comes back to `address`."""
        return await self._threads.run(self._gives.begin_consent, self._collector(name), address)

    async def finish_consent(self, name: str, consent: BrowserConsent, code: str, by: str) -> None:
        """Keep the refresh token, if it is one for this mailbox."""
        collector = self._collector(name)
        async with admitted(self._admission, target_of(collector), urgent=True):
            await self._threads.run(self._gives.finish_consent, collector, consent, code)
        log.info("consent given", collector=name, by=by)

    def _collector(self, name: str) -> DesiredCollector:
        desired = self._desired()
        found = desired.collectors.get(name) if desired else None
        if found is None:
            raise NoAccessGiven("this collector is not declared, or its manifest has errors")
        return found
