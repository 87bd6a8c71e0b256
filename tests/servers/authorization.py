"""An authorization server on loopback: token, device and authorization endpoints, and introspection
for Dovecot."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

CLIENT = "mailcollector-test"


class Authorization:
    """`with Authorization() as server:`. Grants by refresh token, client secret, device code, and
    code with PKCE."""

    def __init__(self) -> None:
        self.refresh: dict[str, str] = {}
        """Refresh token → user name."""
        self.access: dict[str, str] = {}
        """Access tokens that are valid → user name; "*" stands for any."""
        self.client_secrets: dict[str, str] = {}
        """Client secret → user name that the application may act for."""
        self.consenting = ""
        """Who consents as soon as somebody asks."""
        self.pending = 0
        """How often the device flow is told to wait."""
        self.expires_in: object = 3600
        self.rotates = False
        self.detects_reuse = False
        """The second use of a refresh token that was replaced ends its successors as well."""
        self.revoked = 0
        """How many consents ended that way."""
        self.client_auth = {"basic", "form"}
        """How a client secret may come."""
        self.bent: list[tuple[int, bytes]] = []
        """Status and body of the next answers of the token endpoint, whatever is asked."""
        self.headers: dict[str, str] = {}
        """Sent with each of these."""
        self.forms: list[dict[str, str]] = []
        """What the token endpoint was sent; a client's id and secret by HTTP Basic as if they were
        in the form."""
        self.ways: list[str] = []
        """How the client proved itself each time: "basic", "form", or "" where it did not."""
        self.issuer = False
        """Whether it tells its endpoints (OpenID Connect Discovery)."""
        self.discoveries = 0
        self._used: dict[str, str] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def new_refresh_token(self, user: str) -> str:
        token = f"canary-refresh-{next(self._numbers)}-{user}"
        self.refresh[token] = user
        return token

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        """The answer of the token endpoint."""
        user, again = "", False
        match form.get("grant_type"):
            case "refresh_token":
                with self._lock:
                    user, again = self._refreshed(form.get("refresh_token", "")), self.rotates
            case "client_credentials":
                user = self.client_secrets.get(form.get("client_secret", ""), "")
            case "authorization_code":
                user, again = self._redeemed(form), True
            case "urn:ietf:params:oauth:grant-type:device_code":
                if self.pending:
                    self.pending -= 1
                    return 400, {
                        "error": "slow_down" if self.pending % 2 else "authorization_pending"
                    }
                user, again = self.consenting, True
        if not user or form.get("client_id") != CLIENT:
            return 400, {
                "error": "invalid_grant",
                "error_description": "the grant is not valid (any more)",
            }
        access = f"canary-access-{next(self._numbers)}-{user}"
        self.access[access] = user
        answer: dict[str, object] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        return 200, answer | ({"refresh_token": self.new_refresh_token(user)} if again else {})

    def _refreshed(self, token: str) -> str:
        user = self.refresh.get(token, "")
        if user and self.rotates:
            del self.refresh[token]
            self._used[token] = user
        elif token in self._used and self.detects_reuse:
            self.revoked += 1
            self.refresh = {
                other: of for other, of in self.refresh.items() if of != self._used[token]
            }
        return user

    def _redeemed(self, form: dict[str, str]) -> str:
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None:
            return ""
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        proved = (
            asked["code_challenge"] == challenge and asked["redirect_uri"] == form["redirect_uri"]
        )
        return self.consenting if proved else ""

    def authorize(self, form: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        code = f"canary-code-{next(self._numbers)}-{'x' * 20}"
        self._codes[code] = form
        answer = {"code": code} if self.consenting else {"error": "access_denied"}
        return f"{form['redirect_uri']}?{urlencode({**answer, 'state': form['state']})}"

    def device(self) -> dict[str, object]:
        return {
            "device_code": "canary-device-code-0123456789",
            "user_code": "WDJB-MJHT",
            "interval": 1,
            "verification_uri": self.url("activate"),
            "expires_in": 60,
        }

    def metadata(self) -> dict[str, object]:
        return {
            "issuer": self.url("").rstrip("/"),
            "token_endpoint": self.url("token"),
            "authorization_endpoint": self.url("authorize"),
            "device_authorization_endpoint": self.url("device"),
        }

    def introspection(self, token: str) -> dict[str, object]:
        user = self.access.get(token)
        return {"active": "true", "username": user} if user else {"active": "false"}

    # the handler has a self of its own
    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805, C901
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = dict(parse_qsl(url.query))
                if url.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", outer.authorize(asked))
                    self.end_headers()
                elif url.path.endswith("/.well-known/openid-configuration"):
                    outer.discoveries += 1
                    self._answer(
                        *(200, outer.metadata()) if outer.issuer else (404, {"error": "not_found"})
                    )
                else:
                    self._answer(200, outer.introspection(asked.get("access_token", "")))

            def do_POST(self) -> None:
                form = dict(
                    parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode())
                )
                basic = self.headers.get("Authorization", "")
                outer.ways.append("basic" if basic else "form" if "client_secret" in form else "")
                if basic:
                    pair = base64.b64decode(basic.removeprefix("Basic ")).decode().split(":")
                    form["client_id"], form["client_secret"] = map(unquote_plus, pair)
                if self.path == "/device":
                    self._answer(200, outer.device())
                    return
                outer.forms.append(form)
                if outer.bent:
                    status, body = outer.bent.pop(0)
                    self._send(status, body)
                elif outer.ways[-1] and outer.ways[-1] not in outer.client_auth:
                    self._answer(401, {"error": "invalid_client"})
                else:
                    self._answer(*outer.token(form))

            def _answer(self, status: int, answer: dict[str, object]) -> None:
                self._send(status, json.dumps(answer).encode())

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            # http.server's name
            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Nothing to stderr."""

        return Handler
