"""Access tokens: asked for when a session needs one, and kept only in memory, until shortly before
they expire.

Many collectors may use the same refresh token, from one file or from copies of its text. Some
servers replace it at each use, and revoke the consent when the old one is used again. So the state
here belongs to the token, not to the collector:

- one request at a time for each access token, however many sessions wait for it;
- one lock for each place where a refresh token lives; for a file also against other processes
  (`secrets.secret_writing`);
- a chain of each token and its successors: where an old text of it is still read, the newest one
  is used.
"""

from __future__ import annotations

import copy
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field

from reconciler.log import log
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    SecretUnavailable,
    Throttled,
)
from reconciler.model.known_providers import Endpoints
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef, SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.token_client import Answered
from reconciler.secrets.oauth2.token_endpoints import Application, application
from reconciler.secrets.secret_reading import read_secret
from reconciler.secrets.secret_writing import SecretFile, storable

_LEEWAY = 90.0
"""Seconds before a token expires at which a new one is asked for: a login takes a while."""
_UNTOLD = 300.0
"""Seconds that a token is used where the server does not say how long it is valid."""
_LONGEST = 366 * 86400.0
"""Seconds that a token is valid at most, whatever the server says."""
_REMEMBERED = 64
"""Texts of one refresh token that are remembered."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""RFC 6749, appendix A.12, without the space that could end it in a header."""
_Place = tuple[str, ...]
"""Where a secret is: the same for all manifests that lead to it."""
_Key = tuple[str, str, _Place, _Place, str]
"""Whose access token it is: token URL or issuer, client id, the places of client secret and refresh
token, scope."""
_Account = tuple[str, str, int, str]


class AccessToken(Struct, frozen=True):
    """`expires_at`: seconds since the epoch, None where the server did not say."""

    secret: Secret
    expires_at: float | None


class _Kept(Struct):
    """The state of one access token."""

    token: AccessToken | None = None
    good_until: float = 0.0
    given: dict[_Account, int] = field(default_factory=dict)
    """How often this token was given out for each account."""
    refused: Secret | None = None
    """The last token, where a mail server refused it to an account that shares it."""
    request: Future[AccessToken] | None = None
    """The request that is under way."""
    throttled: Throttled | None = None
    not_before: float = 0.0
    """Until when the server asked to be left alone."""


class _Chain:
    """A refresh token with its successors. `lock` is held while one of them is used."""

    def __init__(self, first: Secret) -> None:
        self.lock = threading.Lock()
        self.current = first
        self.files: set[str] = set()
        """Files in which a text of it was found."""
        self.digests = [first.digest()]
        """Digests of its texts: the first one, which an environment variable may hold for ever, and
        the last ones."""


class AccessTokens:
    """The access tokens of one process, for sessions in any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._guard = threading.RLock()
        """Protects all state here; never held while waiting. Re-entrant, because a signal handler
        may interrupt its holder."""
        self._kept: dict[_Key, _Kept] = defaultdict(_Kept)
        self._places: dict[_Place, threading.Lock] = defaultdict(threading.Lock)
        self._chains: dict[str, _Chain] = {}
        """By the digest of each text of the token, now or earlier."""
        self._endpoints: dict[str, tuple[float, Endpoints]] = {}
        self._quiet = threading.Condition(self._guard)
        self._in_use = 0
        """How many refresh tokens were sent whose successors may not be kept yet."""
        self._closed = False

    def get(
        self, source: SourceSpec, cancelled: Future[None] | None = None, collector: str = "NAME"
    ) -> AccessToken:
        """For logging in to this account; paths in `source` are absolute.

        Blocks while one is asked for, which happens once however many sessions want it; ends with
        ConnectionFailed when `cancelled` is done. The request itself then goes on, for its answer
        may hold a new refresh token. `collector` is named where somebody has to consent again.
        Raises AuthenticationFailed, ConnectionFailed, SecretUnavailable…
        """
        asked = _TokenRequest.of(source, collector)
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
        asked = _TokenRequest.of(source)
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
            token = self._kept[_TokenRequest.of(source).key].token
        return token.expires_at if token else None

    def close(self) -> None:
        """Use no further refresh token, and wait until the successors of those in use are kept.
        Then the process may end. A request ends after `token_client.DEADLINE`."""
        with self._quiet:
            self._closed = True
            self._quiet.wait_for(lambda: self._in_use == 0)

    # One request

    def _refuse_while_throttled(self, kept: _Kept) -> None:
        left = kept.not_before - self._clock()
        if kept.throttled is not None and left > 0:
            raise Throttled(str(kept.throttled), retry_after=left)
        kept.throttled = None

    def _begun(self, kept: _Kept, asked: _TokenRequest) -> Future[AccessToken]:
        """Start the request in a thread of its own. When a session is given up, the answer may
        still bring a new refresh token, which must not be lost."""
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

    def _ask(self, kept: _Kept, asked: _TokenRequest, request: Future[AccessToken]) -> None:
        try:
            token = self._renewed(asked)
        except BaseException as error:  # noqa: BLE001
            # carried to the sessions that wait for it, and raised there
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

    def _renewed(self, asked: _TokenRequest) -> AccessToken:
        client_secret = read_secret(asked.client_secret) if asked.client_secret else None
        if asked.refresh_token is None:
            answer = self._answer(asked, client_secret, {"grant_type": "client_credentials"}, None)
            return self._token(answer)
        with self._places_lock(asked.refresh_token), _writable(asked.refresh_token) as file:
            return self._token(self._refreshed(asked, client_secret, asked.refresh_token, file))

    def _refreshed(
        self,
        asked: _TokenRequest,
        client_secret: Secret | None,
        ref: SecretRef,
        file: SecretFile | None,
    ) -> Mapping[str, Any]:
        """Ask with the newest successor of the token that `ref` leads to. Return the answer; keep the
        successor that it brings.

        Where the server refuses the token, and `ref` leads to another one by now, ask with that.
        """
        found = read_secret(ref)
        while True:
            chain = self._chain_of(found)
            with chain.lock:
                if file is not None:
                    file.reserve()
                    chain.files.add(file.path)
                used = chain.current
                try:
                    with self._used():
                        answer = self._answer(asked, client_secret, _refresh_form(used), used)
                        self._keep_rotated(asked, chain, found, used, answer, file)
                except AuthenticationFailed:
                    again = read_secret(ref)
                    if again == found or self._is_of(chain, again):
                        raise
                    found = (
                        again  # somebody consented meanwhile, or another machine shares the file
                    )
                    continue
                return answer

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Count a refresh token as in use, from before it is sent until its successor is kept."""
        with self._guard:
            if self._closed:
                raise ConnectionFailed("the process ends, so no access token is asked for any more")
            self._in_use += 1
        try:
            yield
        finally:
            with self._quiet:
                self._in_use -= 1
                self._quiet.notify_all()

    def _answer(
        self,
        asked: _TokenRequest,
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
        except Answered as answered:
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
        return AccessToken(_token(answer), self._end(answer.get("expires_in")))

    def _end(self, expires_in: object) -> float | None:
        """Return when a token expires, in seconds since 1970. Some servers send the seconds as text."""
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

    # Refresh tokens

    @contextmanager
    def _places_lock(self, ref: SecretRef) -> Iterator[None]:
        with self._guard:
            lock = self._places[_place(ref)]
        with lock:
            yield

    def _chain_of(self, found: Secret) -> _Chain:
        with self._guard:
            return self._chains.setdefault(found.digest(), _Chain(found))

    def _is_of(self, chain: _Chain, secret: Secret) -> bool:
        with self._guard:
            return self._chains.get(secret.digest()) is chain

    def _keep_rotated(
        self,
        asked: _TokenRequest,
        chain: _Chain,
        found: Secret,
        used: Secret,
        answer: Mapping[str, Any],
        file: SecretFile | None,
    ) -> None:
        """Keep a new refresh token in place of the old one: in the manifest's file if we may write
        it, and in every other file with a text of the same token; else in memory.

        `found` is what the manifest led to, `used` its newest successor.
        """
        given = answer.get("refresh_token")
        new = storable(given)
        if new is None and given is not None and given != "":
            log.warning(
                "the server's new refresh token cannot be one, so the old one is kept",
                collector=asked.collector,
            )
        if new is None or new == used:
            new = used
        if new != chain.current:
            self._extend(chain, new)
        kept = new == found
        if not kept and file is not None:
            kept = (
                self._written(asked, file, found, new)
                if self._still_holds(chain, file)
                else self._left(asked, file)
            )
        for copy_of_it in [path for path in chain.files if file is None or path != file.path]:
            kept = self._replace_copy(chain, copy_of_it, new) or kept
        if not kept and file is None:
            log.warning(
                "the new refresh token is kept in memory only, and lost when this process ends: let "
                "source.oauth2.refreshToken name a file",
                collector=asked.collector,
            )

    def _still_holds(self, chain: _Chain, file: SecretFile) -> bool:
        """Return whether the file still has a text of this token. True also where it is missing or
        not readable by now: then it is written again."""
        try:
            held = read_secret(SecretRef.model_validate({"file": file.path}))
        except SecretUnavailable:
            return True
        return self._is_of(chain, held)

    def _left(self, asked: _TokenRequest, file: SecretFile) -> bool:
        log.warning(
            "somebody wrote another refresh token while a new one was asked for: it stays, and is used from "
            "now on",
            collector=asked.collector,
            file=file.path,
        )
        return True

    def _extend(self, chain: _Chain, new: Secret) -> None:
        with self._guard:
            chain.current = new
            chain.digests.append(new.digest())
            self._chains[new.digest()] = chain
            if len(chain.digests) > _REMEMBERED:
                del self._chains[chain.digests.pop(1)]

    def _written(self, asked: _TokenRequest, file: SecretFile, found: Secret, new: Secret) -> bool:
        try:
            file.replace(found, new)
        except SecretUnavailable as error:
            log.warning(
                "the new refresh token is kept in memory only, and lost when this process ends",
                collector=asked.collector,
                error=str(error),
            )
            return False
        return True

    def _replace_copy(self, chain: _Chain, path: str, new: Secret) -> bool:
        """Write the new token to another file with a text of the same token; return whether that is
        done.

        Where the file is locked, this does not wait: whoever holds its lock waits for the chain's
        lock, which we hold. He writes the file afterwards.
        """
        try:
            with SecretFile(path, patience=0.0) as file:
                held = read_secret(SecretRef.model_validate({"file": path}))
                if not self._is_of(chain, held):
                    chain.files.discard(path)
                    return False
                if held != new:
                    file.replace(held, new)
        except SecretUnavailable:
            return False
        return True


class _TokenRequest(Struct, frozen=True):
    """What identifies a source's access token, and all that is needed to ask for it."""

    key: _Key
    account: _Account
    application: Application
    client_secret: SecretRef | None
    refresh_token: SecretRef | None
    collector: str

    @classmethod
    def of(cls, source: SourceSpec, collector: str = "NAME") -> _TokenRequest:
        """Make it of a manifest. Raises SourceUnsuitable where that lacks something needed."""
        oauth2 = source.oauth2
        assert oauth2 is not None  # noqa: S101  # nobody else asks for tokens
        found = application(source, oauth2)
        key = (
            found.issuer or found.endpoints.token,
            found.client_id,
            _place(oauth2.client_secret),
            _place(oauth2.refresh_token),
            found.scope or "",
        )
        account = (source.protocol, source.host, source.effective_port, source.username)
        return cls(key, account, found, oauth2.client_secret, oauth2.refresh_token, collector)


def _given(kept: _Kept, token: AccessToken, account: _Account) -> AccessToken:
    kept.given[account] = kept.given.get(account, 0) + 1
    return token


@contextmanager
def _writable(ref: SecretRef) -> Iterator[SecretFile | None]:
    if ref.file is None:
        yield None
        return
    with SecretFile(ref.file) as file:
        yield file


def _place(ref: SecretRef | None) -> _Place:
    if ref is None:
        return ()
    if ref.file is not None:
        return "file", os.path.realpath(ref.file)
    if ref.env is not None:
        return "env", ref.env
    if ref.command is not None:
        return ("command", *ref.command)
    return "value", Secret(ref.value or "").digest()


def _refresh_form(token: Secret) -> dict[str, str]:
    """RFC 6749, section 6."""
    return {"grant_type": "refresh_token", "refresh_token": token.reveal()}


def _refusal(url: str, answered: Answered, asked: _TokenRequest) -> CollectorError:
    error = token_client.refusal(url, answered, "no access token")
    if answered.code in token_client.CONSENT and asked.refresh_token is not None:
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
