"""Consents that are under way in browsers: each is bound to the browser that began it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

from msgspec import Struct

from reconciler.model.consent_request import BrowserConsent

CONSENT_LIFETIME = 900
"""Seconds that a person has to consent."""
_MOST = 1000
"""Consents that are under way at once; the oldest are forgotten."""


class PendingConsent(Struct, frozen=True):
    """A consent that was begun. `by`: who asked. `owner`: the owner's link, "" for somebody who is
    logged in."""

    collector: str
    consent: BrowserConsent
    by: str
    owner: str
    until: float


class PendingConsents:
    """Keeps consents in memory until the browser comes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pending: dict[str, PendingConsent] = {}

    def begin(self, collector: str, consent: BrowserConsent, by: str, owner: str = "") -> str:
        """Keep a consent, and return the value of the browser's cookie."""
        pending = PendingConsent(collector, consent, by, owner, self._clock() + CONSENT_LIFETIME)
        self._pending[consent.state] = pending
        while len(self._pending) > _MOST:
            del self._pending[next(iter(self._pending))]
        return _bound(consent)

    def take(self, state: str, cookie: str) -> PendingConsent | None:
        """Return the consent that a browser comes back from, once; None where it did not begin
        one, or took too long."""
        found = self._pending.get(state)
        if found is None or not hmac.compare_digest(
            _bound(found.consent).encode(), cookie.encode()
        ):
            return None
        del self._pending[state]
        return found if found.until >= self._clock() else None


def _bound(consent: BrowserConsent) -> str:
    return hashlib.sha256(f"consent {consent.verifier}".encode()).hexdigest()
