"""How the owner of a mailbox gives a collector access to it: by a password, or by consent."""

from __future__ import annotations

from typing import Protocol

from reconciler.model.consent_request import BrowserConsent
from reconciler.model.errors import CollectorError
from reconciler.planning.desired_state import DesiredCollector


class NoAccessGiven(CollectorError):
    """The password or consent that was given does not open the mailbox, or cannot be kept."""

    reason = "NoAccessGiven"


class PasswordRefused(NoAccessGiven):
    """The server refuses a password."""


class MailboxAccess(Protocol):
    """Writes what opens a mailbox into the collector's secret file. Blocking. Every method raises
    CollectorError."""

    def stamp(self, collector: DesiredCollector) -> str:
        """Return a text that changes when the secret is written."""

    def access_method(self, collector: DesiredCollector) -> str:
        """Return what its owner can give here: `password`, `consent`, or "" for nothing."""

    def set_password(
        self, collector: DesiredCollector, password: str, *, prove: bool = True
    ) -> None:
        """Keep a password, unless the server refuses it. Without `prove` the server is not asked.
        Raises PasswordRefused."""

    def begin_consent(self, collector: DesiredCollector, address: str) -> BrowserConsent:
        """Begin a consent in a browser, which comes back to `address`."""

    def finish_consent(
        self, collector: DesiredCollector, consent: BrowserConsent, code: str
    ) -> None:
        """Keep the refresh token, if it is one for this mailbox."""
