"""Getting a refresh token with the help of a person and a browser: once for each account."""

from __future__ import annotations

import hmac
import http.server
import secrets as randomness
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2 import DeviceClient, WebApplicationClient

from reconciler.manifests.domains import is_loopback
from reconciler.manifests.spec import SourceSpec
from reconciler.model.consent import Prompt, Way
from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ProtocolViolation,
    SecretUnavailable,
    SourceUnsuitable,
)
from reconciler.model.secret import Secret
from reconciler.secrets.oauth2.asking import Answered, ask, refusal
from reconciler.secrets.oauth2.endpoints import Application, application
from reconciler.secrets.reading import read_secret
from reconciler.secrets.writing import write_secret

PATIENCE = 900.0
"""Seconds that a person has."""
_DONE = "<!doctype html><title>mailcollector</title><p>{}</p>"


class Consent:
    """One account's."""

    def __init__(self, source: SourceSpec, way: Way, sleep: Callable[[float], None] = time.sleep) -> None:
        if source.oauth2 is None:
            raise SourceUnsuitable("this collector logs in with a password: there is nothing to consent to")
        refresh = source.oauth2.refresh_token
        if refresh is None or refresh.file is None:
            raise SecretUnavailable("source.oauth2.refreshToken must name a file, to write the token to")
        self.file = refresh.file
        """Where the refresh token goes."""
        self._asked: Application = application(source, source.oauth2)
        self._authorization = way.authorization_url or self._asked.endpoints.authorization
        self._device = way.device_url or self._asked.endpoints.device
        self._way = way
        self._username = source.username
        secret = source.oauth2.client_secret
        self._secret = read_secret(secret) if secret else None
        self._sleep = sleep

    def ask(self, show: Callable[[Prompt], None], patience: float = PATIENCE) -> None:
        """Show a person where to consent, wait for it, and write the refresh token. Raises CollectorError."""
        if self._way.device:
            self._by_device(show)
        else:
            self._by_redirect(show, patience)

    def _by_device(self, show: Callable[[Prompt], None]) -> None:
        """RFC 8628: the browser may be on any machine."""
        if not self._device:
            raise SourceUnsuitable("this provider lets nobody consent from another device: run without --device")
        form = {"client_id": self._asked.client_id, **({"scope": self._asked.scope} if self._asked.scope else {})}
        begun = self._answer(self._device, form)
        code, user_code = begun.get("device_code"), begun.get("user_code")
        url = begun.get("verification_uri") or begun.get("verification_url")  # Google's and Yandex' spelling
        if not (isinstance(code, str) and isinstance(user_code, str) and isinstance(url, str)):
            raise ProtocolViolation("the authorization server's answer has no code for the device flow (RFC 8628)")
        show(Prompt(url, user_code))
        self._take(self._polled(code, _number(begun.get("interval"), 5.0), _number(begun.get("expires_in"), PATIENCE)))

    def _by_redirect(self, show: Callable[[Prompt], None], patience: float) -> None:
        """The browser runs on this machine and comes back to a port of it (RFC 8252, section 7.3), with PKCE (RFC
        7636)."""
        if not self._authorization:
            raise SourceUnsuitable("where to consent is not known for `provider: custom`: say --authorization-url")
        client = WebApplicationClient(self._asked.client_id)
        verifier, state = client.create_code_verifier(96), randomness.token_urlsafe(24)
        challenge = client.create_code_challenge(verifier, "S256")
        with _Listener(self._way.port, state) as listener:
            address = f"http://{self._asked.endpoints.loopback}:{listener.server_port}/"
            show(Prompt(self._authorization_request(address, state, challenge)))
            code = listener.code(patience)
        body = client.prepare_request_body(code=code, redirect_uri=address, code_verifier=verifier,
                                           client_secret=self._secret.reveal() if self._secret else None)
        self._take(self._answer(self._asked.endpoints.token, dict(parse_qsl(body))))

    def _authorization_request(self, address: str, state: str, challenge: str) -> str:
        """RFC 6749, section 4.1.1. `access_type` and `prompt` are how Google is asked for a refresh token."""
        given = {"client_id": self._asked.client_id, "response_type": "code", "redirect_uri": address, "state": state,
                 "code_challenge": challenge, "code_challenge_method": "S256", "access_type": "offline",
                 "prompt": "consent", "login_hint": self._username}
        scope = {"scope": self._asked.scope} if self._asked.scope else {}
        return str(add_params_to_uri(_checked(self._authorization), list((given | scope).items())))

    def _polled(self, code: str, interval: float, expires_in: float) -> Mapping[str, Any]:
        body = DeviceClient(self._asked.client_id).prepare_request_body(device_code=code, include_client_id=True)
        form = {**dict(parse_qsl(body)), **({"client_secret": self._secret.reveal()} if self._secret else {})}
        waited = 0.0
        while waited <= expires_in:
            self._sleep(interval)
            waited += interval
            try:
                return ask(self._asked.endpoints.token, form, self._secrets(code))
            except Answered as answered:
                if answered.code == "slow_down":
                    interval += 5  # RFC 8628, section 3.5
                elif answered.code != "authorization_pending":
                    raise refusal(self._asked.endpoints.token, answered, "no consent") from None
        raise AuthenticationFailed("nobody consented in time: run it again")

    def _answer(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            return ask(_checked(url), form, self._secrets(*form.values()))
        except Answered as answered:
            raise refusal(url, answered, "no consent") from None

    def _secrets(self, *more: str) -> list[Secret]:
        return [*([self._secret] if self._secret else []), *[Secret(one) for one in more if len(one) > 20]]

    def _take(self, answer: Mapping[str, Any]) -> None:
        token = answer.get("refresh_token")
        if not isinstance(token, str) or not token:
            raise ProtocolViolation("the authorization server gave no refresh token: see whether the application may "
                                    "ask for one, and the scope (offline_access)")
        write_secret(self.file, Secret(token))


class _Listener(http.server.HTTPServer):
    """Waits for the browser to come back with a code; on loopback only."""

    def __init__(self, port: int, state: str) -> None:
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConnectionFailed(f"cannot listen on port {port} of 127.0.0.1: {error.strerror}") from error
        self.state = state
        self.answer: dict[str, str] | None = None

    def code(self, patience: float) -> str:
        """Raises AuthenticationFailed where consent is denied or does not come in time."""
        deadline = time.monotonic() + patience
        while self.answer is None and (left := deadline - time.monotonic()) > 0:
            self.timeout = left
            self.handle_request()
        if self.answer is None:
            raise AuthenticationFailed("nobody consented in time: run it again")
        if "code" not in self.answer:
            raise AuthenticationFailed(f"consent was refused: {self.answer.get('error', 'no code')[:100]!r}")
        return self.answer["code"]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Listener
    timeout = 10.0

    def do_GET(self) -> None:
        given = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        ours = hmac.compare_digest(given.get("state", "").encode(), self.server.state.encode())
        if ours:
            self.server.answer = given
        said = "Done: close this page, and go back to the terminal." if ours else "This is not for here."
        body = _DONE.format(said).encode()
        self.send_response(200 if ours else 400)
        for name, value in (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))),
                            ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
        """The request holds a code: not into any log."""


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 86400 else default


def _checked(url: str) -> str:
    where = urlsplit(url)
    if where.scheme != "https" and not is_loopback(where.hostname or ""):
        raise SourceUnsuitable(f"{url[:100]!r} is no https address")
    return url
