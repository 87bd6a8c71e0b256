"""Keep what the owner of a mailbox gives, after a login has shown that it opens this mailbox."""

from __future__ import annotations

from reconciler.app.adapters import open_source
from reconciler.app.login_secrets import secret_stamp
from reconciler.control.mailbox_access import NoAccessGiven, PasswordRefused
from reconciler.model.consent_request import BrowserConsent, ConsentMethod
from reconciler.model.errors import AuthenticationFailed, CollectorError
from reconciler.model.secret import Secret
from reconciler.model.settings import Settings
from reconciler.model.spec import SourceSpec
from reconciler.planning.desired_state import DesiredCollector
from reconciler.secrets.secret_reading import LIMIT
from reconciler.secrets.secret_writing import write_secret


class MailboxOwners:
    """Gives collectors access to mailboxes (`control.mailbox_access.MailboxAccess`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def stamp(self, collector: DesiredCollector) -> str:
        return secret_stamp(collector)

    def access_method(self, collector: DesiredCollector) -> str:
        source = collector.effective.source
        if source.oauth2 is not None:
            refresh = source.oauth2.refresh_token
            return "consent" if refresh is not None and refresh.file is not None else ""
        return "password" if source.password is not None and source.password.file else ""

    def set_password(
        self, collector: DesiredCollector, password: str, *, prove: bool = True
    ) -> None:
        source = collector.effective.source
        if source.password is None or source.password.file is None:
            raise NoAccessGiven("the manifest names no file to keep the password in")
        if not password or not password.isprintable() or len(password) > LIMIT:
            raise NoAccessGiven("a password is one line of printable characters")
        secret = Secret(password)
        try:
            if prove:
                self._log_in(source, secret)
        except AuthenticationFailed as error:
            raise PasswordRefused(f"the server refuses this password: {error}") from error
        except CollectorError:
            pass  # it is not there now, and said nothing about the password
        write_secret(source.password.file, secret)

    def begin_consent(self, collector: DesiredCollector, address: str) -> BrowserConsent:
        # an HTTP client, where somebody consents
        from reconciler.secrets.oauth2 import Consent  # noqa: PLC0415

        return Consent(collector.effective.source, ConsentMethod()).begin(address)

    def finish_consent(
        self, collector: DesiredCollector, consent: BrowserConsent, code: str
    ) -> None:
        from reconciler.secrets.oauth2 import Consent  # noqa: PLC0415  # see above

        source = collector.effective.source

        def prove(access: Secret) -> None:
            try:
                self._log_in(source, access)
            except AuthenticationFailed as error:
                raise NoAccessGiven(
                    f"the account that consented does not open the mailbox {source.username}; "
                    f"nothing was kept: {error}"
                ) from error

        Consent(source, ConsentMethod()).finish(consent, code, prove)

    def _log_in(self, source: SourceSpec, secret: Secret) -> None:
        """Log in and look at the first folder. Raises CollectorError."""
        opened = open_source(source, secret, self._settings)
        try:
            next(iter(opened.listings(writable=False)), None)
        finally:
            opened.abort()
