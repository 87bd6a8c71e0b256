"""Requests to an authorization server: a form there, a JSON object back (RFC 6749, sections 4 and
5).

httpcore speaks HTTP. The connections below it are those of `wire`. So one deadline covers the name
lookup, TLS, the headers and the body, however slowly the server sends. Certificates are verified
as those of mail servers are.
"""

from __future__ import annotations

import base64
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import SplitResult, quote_plus, unquote, urlencode, urlsplit

import httpcore
from msgspec import Struct

from reconciler.model.domains import is_loopback
from reconciler.model.errors import ConnectionFailed, PolicyRefused, SourceUnsuitable, TlsRefused
from reconciler.model.manifest_policy import allowed
from reconciler.model.secret import Secret
from reconciler.secrets.oauth2.token_answers import ErrorAnswer, harmless_words, read_answer
from reconciler.secrets.oauth2.token_transport import WireBackend
from reconciler.secrets.oauth2.token_urls import ascii_host, authority, require_private

DEADLINE = 90.0
"""Seconds for one request, from the name lookup to the last octet of the answer."""
_PROXY_PORTS = {"http": 80, "https": 443}


class TokenClient(Struct, frozen=True):
    """An application that asks for tokens, and one way to authenticate it."""

    client_id: str
    secret: Secret | None = None
    basic: bool = False
    """Send the secret by HTTP Basic, else in the form (RFC 6749, section 2.3.1)."""
    ca_file: str | None = None
    local: bool = False
    """The server may be on this machine."""

    def identified(self, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the form with the client's own fields, and the headers that belong to it."""
        if self.secret is None:
            return {**form, "client_id": self.client_id}, {}
        if not self.basic:
            return {**form, "client_id": self.client_id, "client_secret": self.secret.reveal()}, {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret.reveal())}"
        return dict(form), {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def post(
    url: str, form: Mapping[str, str], clients: Sequence[TokenClient], secrets: Sequence[Secret]
) -> dict[str, Any]:
    """Send a form, and return the answer. Redirects are not followed, for the form is secret.

    `clients` are the ways to authenticate the application, best first. Where the server refuses
    one, the next one is tried: then the server has not looked at the grant. No text of an error
    quotes any of `secrets`.

    Raises ErrorAnswer, ConnectionFailed, Throttled, ProtocolViolation, SourceUnsuitable,
    TlsRefused.
    """
    for client in clients[:-1]:
        try:
            return _posted(url, form, client, secrets)
        except ErrorAnswer as answered:
            if answered.code != "invalid_client" and answered.status != 401:
                raise
    return _posted(url, form, clients[-1], secrets)


def _posted(
    url: str, form: Mapping[str, str], client: TokenClient, secrets: Sequence[Secret]
) -> dict[str, Any]:
    fields, headers = client.identified(form)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return _exchange(
        _Request("POST", url, urlencode(fields).encode(), headers),
        client.ca_file,
        client.local,
        secrets,
    )


def get(url: str, ca_file: str | None, *, local: bool) -> dict[str, Any]:
    """Return a public JSON object. Raises what `post` does."""
    return _exchange(_Request("GET", url, b"", {}), ca_file, local, ())


class _Request(Struct, frozen=True):
    """An HTTP request."""

    method: str
    url: str
    content: bytes
    headers: dict[str, str]


def _exchange(
    request: _Request, ca_file: str | None, local: bool, secrets: Sequence[Secret]
) -> dict[str, Any]:
    """Send a request over a connection of its own, and return the answer. Raises what `post`
    does."""
    where = require_private(request.url, local=local)
    host = where.hostname or ""
    given = {
        "Host": authority(where),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "mailcollector",
        "Connection": "close",
        **request.headers,
    }
    target = (where.path or "/") + (f"?{where.query}" if where.query else "")
    address = httpcore.URL(
        scheme=where.scheme, host=ascii_host(host), port=where.port, target=target
    )
    proxy = _proxy(where)
    backend = WireBackend(
        ca_file, time.monotonic() + DEADLINE, local=local, proxied=proxy is not None
    )
    if proxy and not allowed().by_name("tokens", address.host.decode()):
        raise PolicyRefused(
            f"{host}: the policy does not allow to ask it for tokens; behind a proxy its name, or "
            "address, has to be listed"
        )
    pool = proxy.pool(backend) if proxy else httpcore.ConnectionPool(network_backend=backend)
    try:
        with (
            closing(backend),
            pool,
            pool.stream(
                request.method, address, headers=list(given.items()), content=request.content
            ) as response,
        ):
            return read_answer(response, host, secrets)
    except TlsRefused as error:
        raise TlsRefused(str(error)) from None
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        text = harmless_words(str(error), secrets) or type(error).__name__
        raise ConnectionFailed(f"{host}: no answer to a request for a token: {text}") from None


class _Proxy(Struct, frozen=True):
    """An HTTP proxy."""

    url: httpcore.URL
    auth: tuple[str, str] | None
    """User name and password, sent to the proxy only."""

    def pool(self, backend: WireBackend) -> httpcore.ConnectionPool:
        return httpcore.HTTPProxy(self.url, self.auth, network_backend=backend)


def _proxy(where: SplitResult) -> _Proxy | None:
    """Return the proxy that the environment names (https_proxy, all_proxy, no_proxy); None where
    there is none. Raises SourceUnsuitable. The text does not quote the variable, which may hold a
    password."""
    host = where.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies()
    text = named.get(where.scheme) or named.get("all")
    if not text:
        return None
    try:
        found = urlsplit(text if "://" in text else f"http://{text}")
        name, port = ascii_host(found.hostname or ""), found.port
    except (ValueError, SourceUnsuitable):
        name, port = "", None
    if not name or found.scheme not in {"http", "https"}:
        raise SourceUnsuitable(
            f"{host}: the variable {where.scheme}_proxy or all_proxy names no HTTP proxy: write it "
            "as http://host:port, or name the server in no_proxy"
        )
    url = httpcore.URL(
        scheme=found.scheme, host=name, port=port or _PROXY_PORTS[found.scheme], target="/"
    )
    auth = (unquote(found.username), unquote(found.password or "")) if found.username else None
    return _Proxy(url, auth)
