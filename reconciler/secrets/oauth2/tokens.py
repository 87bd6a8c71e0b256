"""Access tokens: asked for when a session needs one, kept in memory until shortly before they expire, and nowhere
else."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct
from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient

from reconciler.log import log
from reconciler.manifests.effective import digest
from reconciler.manifests.spec import OAuth2, SourceSpec
from reconciler.model.errors import ProtocolViolation, SecretUnavailable
from reconciler.model.secret import Secret
from reconciler.secrets.oauth2.asking import Answered, ask, refusal
from reconciler.secrets.oauth2.endpoints import Application, application
from reconciler.secrets.reading import read_secret
from reconciler.secrets.writing import write_secret

_LEEWAY = 90.0
"""Seconds before a token's end at which a new one is asked for: a login takes a while."""
_UNTOLD = 300.0
"""Seconds that a token is used for whose server does not say how long it is valid."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""RFC 6749, appendix A.12, without the space that could end it in a header."""


class AccessToken(Struct, frozen=True):
    """`expires_at`: seconds since the epoch, None where the server did not say."""

    secret: Secret
    expires_at: float | None


class _Kept(Struct):
    lock: threading.Lock
    token: AccessToken | None = None
    good_until: float = 0.0
    given: int = 0
    """How often this token was given out."""
    rotated: tuple[str, Secret] | None = None
    """The digest of the refresh token that the manifest leads to, and its successor that could not be written there."""


class AccessTokens:
    """Those of one process, for sessions in any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._kept: dict[str, _Kept] = defaultdict(lambda: _Kept(threading.Lock()))

    def get(self, source: SourceSpec) -> AccessToken:
        """For logging in to this account; paths in `source` are absolute. Blocks while one is asked for, which happens
        once however many sessions want it. Raises AuthenticationFailed, ConnectionFailed, SecretUnavailable, …"""
        kept = self._of(source)
        with kept.lock:
            if kept.token is None or self._clock() >= kept.good_until:
                kept.token, kept.given = None, 0
                kept.token = token = self._asked(source, kept)
                kept.good_until = self._clock() + _UNTOLD if token.expires_at is None else token.expires_at - _LEEWAY
            kept.given += 1
            return kept.token

    def refused(self, source: SourceSpec) -> bool:
        """The mail server refused the token. True: it had been accepted before, so that a new one may be."""
        kept = self._of(source)
        with kept.lock:
            again = kept.token is not None and kept.given > 1
            kept.token = None
            return again

    def expiry(self, source: SourceSpec) -> float | None:
        """When the token in memory expires, in seconds since the epoch."""
        kept = self._of(source)
        return kept.token.expires_at if kept.token else None

    def _of(self, source: SourceSpec) -> _Kept:
        with self._guard:
            return self._kept[digest(source)]

    def _asked(self, source: SourceSpec, kept: _Kept) -> AccessToken:
        oauth2 = _declared(source)
        asked = application(source, oauth2)
        secret = read_secret(oauth2.client_secret) if oauth2.client_secret else None
        refresh = _refresh_token(oauth2, kept)
        secrets = [one for one in (secret, refresh) if one is not None]
        form = _form(asked, secret, refresh)
        try:
            answer = ask(asked.endpoints.token, form, secrets)
        except Answered as answered:
            raise refusal(asked.endpoints.token, answered, "no access token") from None
        token = _token(answer)
        if refresh is not None:
            _keep_rotated(oauth2, kept, refresh, answer)
        return AccessToken(token, self._end(answer.get("expires_in")))

    def _end(self, expires_in: object) -> float | None:
        """Some servers send the seconds as text."""
        try:
            seconds = float(expires_in) if isinstance(expires_in, int | float | str) else 0.0
        except ValueError:
            seconds = 0.0
        return self._clock() + seconds if 0 < seconds < float("inf") else None


def _declared(source: SourceSpec) -> OAuth2:
    assert source.oauth2 is not None  # noqa: S101  # nobody else asks for tokens
    return source.oauth2


def _form(asked: Application, secret: Secret | None, refresh: Secret | None) -> dict[str, str]:
    """A refresh token's grant (RFC 6749, section 6), or the application's own (section 4.4)."""
    more = {"client_secret": secret.reveal()} if secret else {}
    if refresh is not None:
        body = WebApplicationClient(asked.client_id).prepare_refresh_body(
            refresh_token=refresh.reveal(), scope=asked.scope, client_id=asked.client_id, **more)
    else:
        body = BackendApplicationClient(asked.client_id).prepare_request_body(
            scope=asked.scope, include_client_id=True, **more)
    return dict(parse_qsl(body, keep_blank_values=True))


def _token(answer: Mapping[str, Any]) -> Secret:
    """Of an answer (RFC 6749, section 5.1). Raises ProtocolViolation."""
    token, kind = answer.get("access_token"), answer.get("token_type", "bearer")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ProtocolViolation("the authorization server's answer holds no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProtocolViolation("the authorization server's answer holds a token that is not of the type Bearer")
    return Secret(token)


def _refresh_token(oauth2: OAuth2, kept: _Kept) -> Secret | None:
    if oauth2.refresh_token is None:
        return None
    found = read_secret(oauth2.refresh_token)
    if kept.rotated is not None and kept.rotated[0] == _digest(found):
        return kept.rotated[1]
    return found


def _keep_rotated(oauth2: OAuth2, kept: _Kept, used: Secret, answer: Mapping[str, Any]) -> None:
    """A new refresh token takes the old one's place: where the manifest says if that is a file, else in memory."""
    new = answer.get("refresh_token")
    if not isinstance(new, str) or not new or new == used.reveal() or oauth2.refresh_token is None:
        return
    if oauth2.refresh_token.file is not None:
        try:
            write_secret(oauth2.refresh_token.file, Secret(new))
            kept.rotated = None
            return
        except SecretUnavailable as error:
            log.warning("the new refresh token is kept in memory only, and lost when this process ends",
                        error=str(error))
    else:
        log.warning("the new refresh token is kept in memory only, and lost when this process ends: let "
                    "source.oauth2.refreshToken name a file", token_url=oauth2.token_url or oauth2.provider)
    with suppress(SecretUnavailable):
        kept.rotated = (_digest(read_secret(oauth2.refresh_token)), Secret(new))


def _digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()
