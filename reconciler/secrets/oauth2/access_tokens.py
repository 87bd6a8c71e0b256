"""Access tokens: asked for when a session needs one, and kept only in memory, until shortly before
they expire.

There is one request at a time for each access token, however many sessions wait for it. What
happens to refresh tokens is in `refresh_tokens`.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from msgspec import Struct, field

from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    Throttled,
)
from reconciler.model.known_providers import Endpoints
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.refresh_tokens import RefreshTokens
from reconciler.secrets.oauth2.token_answers import CONSENT, ErrorAnswer, refusal
from reconciler.secrets.oauth2.token_endpoints import Application
from reconciler.secrets.oauth2.token_request import AccountKey, TokenKey, TokenRequest
from reconciler.secrets.secret_reading import read_secret

_LEEWAY = 90.0
"""Seconds before a token expires at which a new one is asked for: a login takes a while."""
_UNTOLD = 300.0
"""Seconds for which a token is used if the server does not say how long it is valid."""
_LONGEST = 366 * 86400.0
"""Seconds that a token is valid at most, whatever the server says."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""The characters of a token (RFC 6749, appendix A.12), without the space that could end it in a
header."""


class AccessToken(Struct, frozen=True):
    """An access token."""

    secret: Secret
    expires_at: float | None
    """Seconds since 1970; None where the server did not say."""


class _Kept(Struct):
    """The state of one access token."""

    token: AccessToken | None = None
    good_until: float = 0.0
    """Seconds since 1970 until which it is given out."""
    given: dict[AccountKey, int] = field(default_factory=dict)
    """How often this token was given out for each account."""
    refused: Secret | None = None
    """The last token, where a mail server refused it to an account that shares it."""
    request: Future[AccessToken] | None = None
    """The request that is under way."""
    throttled: Throttled | None = None
    """The server's request to ask again later."""
    not_before: float = 0.0
    """Seconds since 1970 before which the server is not asked again."""


class AccessTokens:
    """The access tokens of one process, for sessions in any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._guard = threading.RLock()
        """Protects all state here; never held while waiting. Re-entrant, because a signal handler
        may interrupt its holder."""
        self._kept: dict[TokenKey, _Kept] = defaultdict(_Kept)
        self._endpoints: dict[str, tuple[float, Endpoints]] = {}
        """By issuer: when they were asked for, and what they are."""
        self._refresh_tokens = RefreshTokens()

    def get(
        self, source: SourceSpec, cancelled: Future[None] | None = None, collector: str = "NAME"
    ) -> AccessToken:
        """Return a token to log in to this account. Paths in `source` are absolute.

        Waits while one is asked for. Raises ConnectionFailed when `cancelled` is done. The request
        itself then goes on, for its answer may hold a new refresh token. Errors name `collector`
        where somebody has to consent again. Raises AuthenticationFailed, SecretUnavailable, and
        what `token_client.post` does.
        """
        asked = TokenRequest.of(source, collector)
        with self._guard:
            kept = self._kept[asked.key]
            if kept.token is not None and self._clock() < kept.good_until:
                return _given(kept, kept.token, asked.account)
            self._refuse_while_throttled(kept)
            request = kept.request or self._begun(kept, asked)
        waited_for: list[Future[Any]] = [request, *([cancelled] if cancelled else [])]
        wait(waited_for, return_when=FIRST_COMPLETED)
        if not request.done():
            raise ConnectionFailed("the session was aborted while it waited for an access token")
        try:
            token = request.result()
        except CollectorError as error:
            raise copy.copy(error) from None  # each waiting thread raises one of its own
        with self._guard:
            return _given(kept, token, asked.account)

    def refused(self, source: SourceSpec, token: Secret) -> bool:
        """Note that the mail server refused `token`. Return True where another one may be accepted:
        the server accepted this one before, or there is a newer one."""
        asked = TokenRequest.of(source)
        with self._guard:
            kept = self._kept[asked.key]
            if kept.token is not None and kept.token.secret == token:
                kept.token, kept.refused = None, token
            elif kept.refused != token:
                return True
            return kept.given.get(asked.account, 0) > 1

    def expiry(self, source: SourceSpec) -> float | None:
        """Return when the token in memory expires, in seconds since 1970; None where that is not
        known."""
        with self._guard:
            token = self._kept[TokenRequest.of(source).key].token
        return token.expires_at if token else None

    def close(self) -> None:
        """Use no further refresh token, and wait until the successors of those in use are kept.
        Then the process may end. A request takes `token_client.DEADLINE` seconds at most."""
        self._refresh_tokens.close()

    # One request

    def _refuse_while_throttled(self, kept: _Kept) -> None:
        """Raise Throttled as long as the server has asked to be left alone."""
        left = kept.not_before - self._clock()
        if kept.throttled is not None and left > 0:
            raise Throttled(str(kept.throttled), retry_after=left)
        kept.throttled = None

    def _begun(self, kept: _Kept, asked: TokenRequest) -> Future[AccessToken]:
        """Start the request in a thread of its own. Its answer may bring a new refresh token, which
        must not be lost where the session ends before."""
        request: Future[AccessToken] = Future()
        try:
            threading.Thread(
                target=self._ask, args=(kept, asked, request), name="token", daemon=True
            ).start()
        except RuntimeError as error:  # no more threads (hazard R1)
            raise ConnectionFailed(
                f"no thread for a request for an access token: {error}"
            ) from error
        kept.request = request
        return request

    def _ask(self, kept: _Kept, asked: TokenRequest, request: Future[AccessToken]) -> None:
        try:
            token = self._renewed(asked)
        except BaseException as error:  # noqa: BLE001  # raised in the sessions that wait for it
            with self._guard:
                kept.request = None
                if isinstance(error, Throttled) and error.retry_after is not None:
                    kept.throttled, kept.not_before = error, self._clock() + error.retry_after
            request.set_exception(error)
            return
        with self._guard:
            kept.request, kept.token, kept.given, kept.refused = None, token, {}, None
            kept.good_until = (
                self._clock() + _UNTOLD if token.expires_at is None else token.expires_at - _LEEWAY
            )
        request.set_result(token)

    def _renewed(self, asked: TokenRequest) -> AccessToken:
        """Ask for a new access token."""
        client_secret = read_secret(asked.client_secret) if asked.client_secret else None
        if asked.refresh_token is None:
            form = {"grant_type": "client_credentials"}  # RFC 6749, section 4.4
            return self._token(self._answer(asked, client_secret, form, None))

        def refresh(token: Secret) -> Mapping[str, Any]:
            form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}  # section 6
            return self._answer(asked, client_secret, form, token)

        return self._token(self._refresh_tokens.use(asked.refresh_token, asked.collector, refresh))

    def _answer(
        self,
        asked: TokenRequest,
        client_secret: Secret | None,
        form: dict[str, str],
        refresh: Secret | None,
    ) -> Mapping[str, Any]:
        application = asked.application
        endpoints = self._located(application)
        if application.scope:
            form["scope"] = application.scope
        secrets = [one for one in (client_secret, refresh) if one is not None]
        try:
            return token_client.post(
                endpoints.token, form, application.clients(client_secret), secrets
            )
        except ErrorAnswer as answered:
            raise _refusal(endpoints.token, answered, asked) from None

    def _located(self, application: Application) -> Endpoints:
        """Return the endpoints. Those of an issuer are asked for once a day."""
        issuer = application.issuer
        if not issuer:
            return application.endpoints
        with self._guard:
            known = self._endpoints.get(issuer)
        if known is None or self._clock() - known[0] > 86400:
            known = self._clock(), application.discovered()
            with self._guard:
                self._endpoints[issuer] = known
        return known[1]

    def _token(self, answer: Mapping[str, Any]) -> AccessToken:
        return AccessToken(_token(answer), self._expiry(answer.get("expires_in")))

    def _expiry(self, expires_in: object) -> float | None:
        """Return when a token expires, in seconds since 1970. Some servers send `expires_in` as
        text."""
        try:
            seconds = (
                float(expires_in)
                if isinstance(expires_in, int | float)
                or (isinstance(expires_in, str) and len(expires_in) < 20)
                else 0.0
            )
        except (ValueError, OverflowError):
            seconds = 0.0
        return self._clock() + min(seconds, _LONGEST) if seconds > 0 else None


def _given(kept: _Kept, token: AccessToken, account: AccountKey) -> AccessToken:
    kept.given[account] = kept.given.get(account, 0) + 1
    return token


def _refusal(url: str, answered: ErrorAnswer, asked: TokenRequest) -> CollectorError:
    """Return the error for a refused request, with the way to a new consent where that helps."""
    error = refusal(url, answered, "no access token")
    if answered.code in CONSENT and asked.refresh_token is not None:
        return AuthenticationFailed(
            f"{error}: the consent has ended or was revoked; run `mailcollector oauth2 "
            f"{asked.collector}` to get it again"
        )
    return error


def _token(answer: Mapping[str, Any]) -> Secret:
    """Return the token in an answer (RFC 6749, section 5.1). Raises ProtocolViolation."""
    token, kind = answer.get("access_token"), answer.get("token_type") or "bearer"
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ProtocolViolation("the authorization server's answer holds no access token")
    if not isinstance(kind, str) or kind.strip().lower() != "bearer":
        raise ProtocolViolation(
            "the authorization server's answer holds a token that is not of the type Bearer"
        )
    return Secret(token)
