"""What sessions log in with: passwords, and access tokens that are shared by the whole process."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from reconciler.collect import backoff
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.manifest_secrets import secret_refs
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.planning.desired_state import DesiredCollector
from reconciler.secrets import read_secret, stamp

if TYPE_CHECKING:
    from reconciler.secrets.oauth2 import AccessTokens

_REFUSED = {AuthenticationFailed.reason, backoff.LOGIN_REFUSED}


class LoginSecrets:
    """Passwords and access tokens of accounts. One object for the process keeps all tokens. Leaving
    the context, like SIGTERM, waits until no refresh token is in use: the process would lose it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store: AccessTokens | None = None

    def __enter__(self) -> Self:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(
                signal.SIGTERM, self._terminate
            )  # the daemon's loop has a handler of its own
        return self

    def __exit__(self, *_: object) -> None:
        if signal.getsignal(signal.SIGTERM) == self._terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._close()

    def _terminate(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one does not wait
        self._close()
        os.kill(os.getpid(), number)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> AccessTokens:
        """The token store. It is made when the first token is needed: most collectors have
        passwords, and need no HTTP client."""
        with self._lock:
            if self._store is None:
                from reconciler.secrets.oauth2 import AccessTokens  # noqa: PLC0415  # see above

                self._store = AccessTokens()
            return self._store

    def secret_of(
        self, spec: SourceSpec, cancelled: Future[None] | None = None, collector: str = "NAME"
    ) -> Secret:
        """Return what to log in with: the password, or an access token. Raises CollectorError."""
        if spec.oauth2 is not None:
            return self.store.get(spec, cancelled, collector).secret
        assert spec.password is not None  # noqa: S101  # the schema: exactly one of the two
        return read_secret(spec.password, cancelled)

    def may_need_new_token(self, spec: SourceSpec, secret: Secret, reason: str) -> bool:
        """Return whether a login that failed for this `reason` may succeed with a new access token,
        because the refused one had been accepted before."""
        return spec.oauth2 is not None and reason in _REFUSED and self.store.refused(spec, secret)


def secret_stamp(collector: DesiredCollector) -> str:
    """Return a text that changes when somebody writes a file that holds one of the source's
    secrets. A refresh token that we replaced ourselves, which others may share, does not change
    it."""
    source = collector.effective.source
    refresh = source.oauth2.refresh_token if source.oauth2 else None
    # The ledger keeps stamps of earlier versions, in which the refresh token's came first.
    refs = sorted(secret_refs(source), key=lambda ref: ref is not refresh)
    return " ".join(stamp(ref, replaced_by_us=ref is refresh) or "-" for ref in refs)
