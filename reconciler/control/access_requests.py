"""Requests of the page for access to mailboxes, by the names of collectors."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.control.event_loop import ThreadPool
from reconciler.control.mailbox_access import GivesAccess, NoAccessGiven
from reconciler.log import log
from reconciler.model.consent_request import BrowserConsent
from reconciler.planning.desired_state import Desired, DesiredCollector


class AccessRequests:
    """Keeps the passwords and consents that owners of mailboxes give. Every method raises
    NoAccessGiven where no valid collector has this name, and CollectorError."""

    def __init__(self, gives: GivesAccess, desired: Callable[[], Desired | None]) -> None:
        self._gives = gives
        self._desired = desired
        self._threads = ThreadPool("access", 2)

    def mailbox(self, name: str) -> str:
        """Return the user name that the collector logs in with."""
        return str(self._collector(name).effective.source.username)

    def wants(self, name: str) -> str:
        """Return what the owner can give: `password`, `consent`, or "" for nothing."""
        return self._gives.wants(self._collector(name))

    async def stamp(self, name: str) -> str:
        """Return a text that changes when the secret is written."""
        return await self._threads.run(self._gives.stamp, self._collector(name))

    async def set_password(self, name: str, password: str, by: str) -> None:
        """Keep a password, unless the server refuses it."""
        await self._threads.run(self._gives.set_password, self._collector(name), password)
        log.info("password set", collector=name, by=by)

    async def begin_consent(self, name: str, address: str) -> BrowserConsent:
        """Begin a consent in a browser, which comes back to `address`."""
        return await self._threads.run(self._gives.begin_consent, self._collector(name), address)

    async def finish_consent(self, name: str, consent: BrowserConsent, code: str, by: str) -> None:
        """Keep the refresh token, if it is one for this mailbox."""
        await self._threads.run(self._gives.finish_consent, self._collector(name), consent, code)
        log.info("consent given", collector=name, by=by)

    def _collector(self, name: str) -> DesiredCollector:
        desired = self._desired()
        found = desired.collectors.get(name) if desired else None
        if found is None:
            raise NoAccessGiven("this collector is not declared, or its manifest has errors")
        return found
