"""Get a refresh token by the consent of a person in a browser, once for each account."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import secrets as randomness
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from reconciler.model.consent_request import BrowserConsent, ConsentMethod, Prompt
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    SecretUnavailable,
    SourceUnsuitable,
    Throttled,
)
from reconciler.model.known_providers import Endpoints
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.token_answers import ErrorAnswer, harmless_words, refusal
from reconciler.secrets.oauth2.token_endpoints import Application, application
from reconciler.secrets.oauth2.token_urls import require_private
from reconciler.secrets.secret_reading import read_secret
from reconciler.secrets.secret_writing import SecretFile, valid_refresh_token, write_secret

TIMEOUT = 900.0
"""Seconds that a person has to consent."""
_PAGE = "<!doctype html><title>mailcollector</title><p>{}</p>"
_DONE = "Done: close this page, and go back to the terminal."
_DENIED = "No consent was given. Close this page, and go back to the terminal."
_STRANGE = "This request does not belong to a consent that is under way."


class Pkce(Struct, frozen=True):
    """What binds an answer to its request: the state, and the verifier of PKCE (RFC 7636)."""

    state: str
    verifier: str

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def begin_pkce() -> Pkce:
    """Return the secrets of a new request."""
    return Pkce(randomness.token_urlsafe(24), randomness.token_urlsafe(72))


class Consent:
    """The consent for one account."""

    def __init__(
        self, source: SourceSpec, way: ConsentMethod, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if source.oauth2 is None:
            raise SourceUnsuitable(
                "this collector logs in with a password: there is nothing to consent to"
            )
        refresh = source.oauth2.refresh_token
        if refresh is None or refresh.file is None:
            raise SecretUnavailable(
                "source.oauth2.refreshToken must name a file, to write the token to"
            )
        self.file = refresh.file
        """The file to write the refresh token to."""
        self._asked: Application = application(source, source.oauth2)
        self._way = way
        self._username = source.username
        secret = source.oauth2.client_secret
        self._secret = read_secret(secret) if secret else None
        self._sleep = sleep

    def ask(self, show: Callable[[Prompt], None], timeout: float = TIMEOUT) -> None:
        """Show a person where to consent, wait for the consent, and write the refresh token. Raises
        CollectorError."""
        self._require_writable()
        endpoints = self._asked.discovered()
        if self._way.device:
            self._by_device(endpoints, show)
        else:
            self._by_redirect(endpoints, show, timeout)

    def _require_writable(self) -> None:
        """Look whether the token can be written, so that nobody consents in vain."""
        with SecretFile(self.file) as file:
            if file.obstacle is not None:
                raise SecretUnavailable(
                    f"cannot write the secret file {self.file}: {file.obstacle}"
                )

    def _by_device(self, endpoints: Endpoints, show: Callable[[Prompt], None]) -> None:
        """Get consent by a code for another device (RFC 8628). The browser may be on any
        machine."""
        device = self._way.device_url or endpoints.device
        if not device:
            raise SourceUnsuitable(
                "this provider lets nobody consent from another device: run without --device"
            )
        begun = self._answer(device, {"scope": self._asked.scope} if self._asked.scope else {})
        code, user_code = begun.get("device_code"), begun.get("user_code")
        # Google and Yandex call it verification_url.
        url = begun.get("verification_uri") or begun.get("verification_url")
        if not (isinstance(code, str) and isinstance(user_code, str) and isinstance(url, str)):
            raise ProtocolViolation(
                "the authorization server's answer has no code for the device flow (RFC 8628)"
            )
        show(Prompt(url, user_code))
        self._take(
            self._polled(
                endpoints.token,
                code,
                _number(begun.get("interval"), 5.0),
                _number(begun.get("expires_in"), TIMEOUT),
            )
        )

    def _by_redirect(
        self, endpoints: Endpoints, show: Callable[[Prompt], None], timeout: float
    ) -> None:
        """Get consent by a browser on this machine, which is redirected to a port of it (RFC 8252,
        section 7.3), with PKCE (RFC 7636)."""
        authorization = self._authorization(endpoints)
        begun = begin_pkce()
        with _Listener(self._way.port, begun.state) as listener:
            address = f"http://{endpoints.loopback}:{listener.server_port}/"
            show(Prompt(self._authorization_request(authorization, address, begun)))
            code = listener.code(timeout)
        self._take(self._redeemed(endpoints, code, address, begun))

    # for a browser that comes back to a page of ours

    def begin(self, address: str) -> BrowserConsent:
        """Return the request of a browser that is redirected to `address`. Raises
        CollectorError."""
        self._require_writable()
        begun, authorization = begin_pkce(), self._authorization(self._asked.discovered())
        url = self._authorization_request(authorization, address, begun)
        return BrowserConsent(url, begun.state, begun.verifier, address)

    def finish(
        self, consent: BrowserConsent, code: str, prove: Callable[[Secret], None] = lambda _: None
    ) -> None:
        """Get the tokens for a code that a browser brought, and write the refresh token. `prove`
        is given the access token, and raises where it is not one for this mailbox. Raises
        CollectorError."""
        begun = Pkce(consent.state, consent.verifier)
        answer = self._redeemed(self._asked.discovered(), code, consent.address, begun)
        access = valid_refresh_token(answer.get("access_token"))
        if access is None:
            raise ProtocolViolation("the authorization server gave no access token")
        prove(access)
        self._take(answer)

    def _authorization(self, endpoints: Endpoints) -> str:
        found = self._way.authorization_url or endpoints.authorization
        if not found:
            raise SourceUnsuitable(
                "where to consent is not known for `provider: custom`: say --authorization-url, or "
                "let source.oauth2.issuer name the server"
            )
        return found

    def _redeemed(
        self, endpoints: Endpoints, code: str, address: str, begun: Pkce
    ) -> Mapping[str, Any]:
        return self._answer(
            endpoints.token,
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": address,
                "code_verifier": begun.verifier,
            },
        )

    def _authorization_request(self, authorization: str, address: str, begun: Pkce) -> str:
        """Return the URL to consent at (RFC 6749, section 4.1.1). Google gives a refresh token only
        with `access_type` and `prompt`."""
        given = {
            "client_id": self._asked.client_id,
            "response_type": "code",
            "redirect_uri": address,
            "state": begun.state,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
            "access_type": "offline",
            "prompt": "consent",
            "login_hint": self._username,
        }
        scope = {"scope": self._asked.scope} if self._asked.scope else {}
        where = require_private(authorization, local=self._asked.local)
        query = "&".join(part for part in (where.query, urlencode(given | scope)) if part)
        return urlunsplit(where._replace(query=query))

    def _polled(self, url: str, code: str, interval: float, expires_in: float) -> Mapping[str, Any]:
        """Ask for the token until somebody has consented. An error of the server or of the
        connection does not end that (RFC 8628, section 3.5)."""
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": code}
        waited = 0.0
        failure: CollectorError | None = None
        while waited <= expires_in:
            self._sleep(interval)
            waited += interval
            try:
                return self._posted(url, form)
            except ErrorAnswer as answered:
                if answered.code == "slow_down":
                    interval += 5
                elif answered.code != "authorization_pending":
                    raise refusal(url, answered, "no consent") from None
                failure = None
            except Throttled as error:
                interval = max(interval, min(error.retry_after or 0.0, 60.0)) + 5
                failure = error
            except ConnectionFailed as error:
                failure = error
        raise failure or AuthenticationFailed("nobody consented in time: run it again")

    def _answer(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            return self._posted(url, form)
        except ErrorAnswer as answered:
            raise refusal(url, answered, "no consent") from None

    def _posted(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Send a form, and authenticate the client as for access tokens."""
        secrets = [
            *([self._secret] if self._secret else []),
            *[Secret(one) for one in form.values() if len(one) > 20],
        ]
        return token_client.post(url, form, self._asked.clients(self._secret), secrets)

    def _take(self, answer: Mapping[str, Any]) -> None:
        """Write the refresh token in an answer to its file."""
        token = answer.get("refresh_token")
        if not token:
            raise ProtocolViolation(
                "the authorization server gave no refresh token: see whether the application may "
                "ask for one, and the scope (offline_access)"
            )
        secret = valid_refresh_token(token)
        if secret is None:
            raise ProtocolViolation(
                "what the authorization server gave as a refresh token cannot be one"
            )
        write_secret(self.file, secret)


class _Listener(http.server.ThreadingHTTPServer):
    """Waits on loopback for the browser that brings a code. Browsers open connections in advance
    and leave them idle, so each one has a thread."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, state: str) -> None:
        try:
            super().__init__(("127.0.0.1", port), _RedirectTarget)
        except OSError as error:
            raise ConnectionFailed(
                f"cannot listen on port {port} of 127.0.0.1: {error.strerror}"
            ) from error
        self.state = state
        self.answer: dict[str, str] | None = None
        self.answered = threading.Event()
        self._serving = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def server_close(self) -> None:
        self.shutdown()
        self._serving.join()
        super().server_close()

    def code(self, timeout: float) -> str:
        """Return the code. Raises AuthenticationFailed where consent is denied, or does not come
        within `timeout` seconds."""
        if not self.answered.wait(timeout) or self.answer is None:
            raise AuthenticationFailed("nobody consented in time: run it again")
        if "code" not in self.answer:
            reason = harmless_words(self.answer.get("error", "no code"), ())[:100]
            more = harmless_words(self.answer.get("error_description", ""), ())
            raise AuthenticationFailed(
                f"consent was refused: {reason!r}" + (f": {more}" if more else "")
            )
        return self.answer["code"]


class _RedirectTarget(http.server.BaseHTTPRequestHandler):
    """Answers the browser."""

    server: _Listener
    timeout = 10.0

    def do_GET(self) -> None:
        given = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        ours = hmac.compare_digest(given.get("state", "").encode(), self.server.state.encode())
        answer_page = _STRANGE if not ours else _DONE if "code" in given else _DENIED
        body = _PAGE.format(answer_page).encode()
        self.send_response(200 if ours else 400)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if ours:
            self.server.answer = given
            self.server.answered.set()

    # http.server's name
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Log nothing: the request holds a code."""


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 86400 else default
