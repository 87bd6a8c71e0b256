"""Requests to an authorization server: a form there, a JSON object back (RFC 6749, sections 4 and
5).

httpcore speaks HTTP. The connections below it are `wire`'s, so that one absolute deadline covers
name lookup, TLS, header and body, however slowly the server sends, and so that certificates are
verified as those of mail servers are.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, quote_plus, unquote, urlencode, urlsplit

import httpcore
from msgspec import Struct

from reconciler.model.domains import host_to_ascii, is_loopback, reaches_this_machine
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    PolicyRefused,
    ProtocolViolation,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.harmless_text import one_line
from reconciler.model.manifest_policy import Role, allowed
from reconciler.model.secret import Secret, redact
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint

DEADLINE = 90.0
"""Seconds for one request, from the name lookup to the last octet of the answer."""
_LIMITS = Limits(connect=20.0, silence=30.0)
_LARGEST = 256 << 10
"""Octets of an answer."""
_RECEIVED = 2 * _LARGEST
"""Octets of everything that the server sends: chunks of one octet, and answers before the answer,
take their time."""
_SHOWN = 300
_NEIGHBOUR = "is on this machine, where anybody may listen, and the mail server is not: name the provider's address"
CONSENT = frozenset(
    {
        "invalid_grant",
        "interaction_required",
        "consent_required",
        "login_required",
        "account_selection_required",
    }
)
"""Errors that a new consent ends (RFC 6749, section 5.2; OpenID Connect Core 1.0, section
3.1.2.6)."""
_REFUSED = CONSENT | {"invalid_client", "access_denied", "expired_token"}
_LATER = {"temporarily_unavailable", "server_error", "slow_down"}
_PROXY_PORTS = {"http": 80, "https": 443}
_MOST_SECONDS = 7 * 86400.0
"""No Retry-After longer than this is believed."""


class Answered(CollectorError):
    """The server answered with an error of the protocol; `code` is its name in small letters,
    `status` that of HTTP, `retry_after` the seconds after which it may be asked again, where it
    says so."""

    def __init__(
        self, code: str, description: str, status: int = 400, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code.lower()
        self.status = status
        self.retry_after = retry_after


class TokenClient(Struct, frozen=True):
    """The application that asks, and how it proves itself: by HTTP Basic or in the form (RFC 6749,
    section 2.3.1)."""

    client_id: str
    secret: Secret | None = None
    basic: bool = False
    ca_file: str | None = None
    local: bool = False
    """The server may be on this machine."""

    def identified(self, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """The form with the client's own fields, and the headers that belong to it."""
        if self.secret is None:
            return {**form, "client_id": self.client_id}, {}
        if not self.basic:
            return {**form, "client_id": self.client_id, "client_secret": self.secret.reveal()}, {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret.reveal())}"
        return dict(form), {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def post(
    url: str, form: Mapping[str, str], clients: Sequence[TokenClient], secrets: Sequence[Secret]
) -> dict[str, Any]:
    """The answer to a form. Redirects are not followed, for what is sent is secret. `clients`: the
    ways in which the application may prove itself; the next one is tried where the server does not
    know it by the one before, for then it has not looked at the grant.

    Raises Answered, ConnectionFailed, Throttled, ProtocolViolation, SourceUnsuitable, TlsRefused.
    """
    for client in clients[:-1]:
        try:
            return _posted(url, form, client, secrets)
        except Answered as answered:
            if answered.code != "invalid_client" and answered.status != 401:
                raise
    return _posted(url, form, clients[-1], secrets)


def _posted(
    url: str, form: Mapping[str, str], client: TokenClient, secrets: Sequence[Secret]
) -> dict[str, Any]:
    fields, headers = client.identified(form)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return _asked(
        _Request("POST", url, urlencode(fields).encode(), headers),
        client.ca_file,
        client.local,
        secrets,
    )


def get(url: str, ca_file: str | None, *, local: bool) -> dict[str, Any]:
    """A public JSON object. Raises what `post` does."""
    return _asked(_Request("GET", url, b"", {}), ca_file, local, ())


def refusal(host_or_url: str, answered: Answered, doing: str) -> CollectorError:
    """What an error of the protocol means for a session (RFC 6749, section 5.2)."""
    host = urlsplit(host_or_url).hostname or host_or_url
    text = f"{host}: {doing}: {answered}"
    if answered.code in _LATER:
        return Throttled(text, retry_after=answered.retry_after)
    if answered.code == "invalid_client":
        text += ": it does not know the application; see clientId and clientSecret in the manifest"
    if answered.code in _REFUSED:
        return AuthenticationFailed(text)
    return SourceUnsuitable(text)


def require_private(url: str, *, local: bool) -> SplitResult:
    """The URL taken apart. Raises SourceUnsuitable for one that secrets may not be sent to: other
    schemes than https, and, unless `local`, this machine, whose services trust whoever can connect
    to them. There http is enough."""
    name = repr(url[:_SHOWN])
    try:
        where = urlsplit(url)
        host, port = where.hostname, where.port
    except ValueError as error:
        raise SourceUnsuitable(f"{name} is no URL: {error}") from None
    if not host or where.username is not None or port == 0:
        raise SourceUnsuitable(
            f"{name} is no address of a token endpoint: write it as https://host/path"
        )
    if reaches_this_machine(host) and not local:
        raise SourceUnsuitable(f"{name} {_NEIGHBOUR}")
    if where.scheme != "https" and not (where.scheme == "http" and is_loopback(host)):
        raise SourceUnsuitable(f"{name} is no https address: secrets are sent there")
    return where


class _Request(Struct, frozen=True):
    method: str
    url: str
    content: bytes
    headers: dict[str, str]


def _asked(
    request: _Request, ca_file: str | None, local: bool, secrets: Sequence[Secret]
) -> dict[str, Any]:
    where = require_private(request.url, local=local)
    host = where.hostname or ""
    given = {
        "Host": _authority(where),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "mailcollector",
        "Connection": "close",
        **request.headers,
    }
    target = (where.path or "/") + (f"?{where.query}" if where.query else "")
    address = httpcore.URL(scheme=where.scheme, host=_ascii(host), port=where.port, target=target)
    proxy = _proxy(where)
    backend = _Backend(ca_file, time.monotonic() + DEADLINE, local=local, proxied=proxy is not None)
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
            return _answer(response, _body(response), host, secrets)
    except TlsRefused as error:
        raise TlsRefused(str(error)) from None
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        text = shown(str(error), secrets) or type(error).__name__
        raise ConnectionFailed(f"{host}: no answer to a request for a token: {text}") from None


class _Proxy(Struct, frozen=True):
    """`auth`: user name and password, which the proxy alone is told."""

    url: httpcore.URL
    auth: tuple[str, str] | None

    def pool(self, backend: _Backend) -> httpcore.ConnectionPool:
        return httpcore.HTTPProxy(self.url, self.auth, network_backend=backend)


def _proxy(where: SplitResult) -> _Proxy | None:
    """The one that the environment names (https_proxy, all_proxy, no_proxy). Raises
    SourceUnsuitable, which does not quote it: a password may stand there."""
    host = where.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies()
    text = named.get(where.scheme) or named.get("all")
    if not text:
        return None
    try:
        found = urlsplit(text if "://" in text else f"http://{text}")
        name, port = _ascii(found.hostname or ""), found.port
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


def _authority(where: SplitResult) -> str:
    host = _ascii(where.hostname or "")
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{where.port}" if where.port else name


def _ascii(host: str) -> str:
    try:
        return host_to_ascii(host)
    except ValueError as error:
        raise SourceUnsuitable(f"{host[:_SHOWN]!r} is no host: {error}") from None


def _body(response: httpcore.Response) -> bytes:
    """As it came over the wire: an encoding that unpacks to more than it says was not asked for,
    and is refused."""
    encodings = {
        value.strip().lower()
        for name, value in response.headers
        if name.lower() == b"content-encoding"
    }
    if encodings - {b"identity", b""}:
        raise httpcore.RemoteProtocolError(
            "its answer is compressed, though that was not asked for"
        )
    parts: list[bytes] = []
    length = 0
    try:
        for chunk in response.iter_stream():
            parts.append(chunk)
            length += len(chunk)
            if length > _LARGEST:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        if (
            _object(b"".join(parts)) is None
        ):  # a whole one may hold the only refresh token that still works
            raise
    if length > _LARGEST:
        raise httpcore.ReadError("its answer is too long")
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any] | None:
    """Of JSON; None for everything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _answer(
    response: httpcore.Response, body: bytes, host: str, secrets: Sequence[Secret]
) -> dict[str, Any]:
    status = response.status
    wait = _retry_after(response.headers)
    if 300 <= status < 400:
        raise SourceUnsuitable(
            f"{host}: HTTP status {status}: the server sends us elsewhere, and what is secret is "
            "not sent on; state the address that it leads to"
        )
    if status == 429:
        raise Throttled(f"{host}: too many requests for tokens", retry_after=wait)
    if status >= 500 or status in {408, 425}:
        if wait is not None:
            raise Throttled(
                f"{host}: no token: HTTP status {status}, and the request to come back later",
                retry_after=wait,
            )
        raise ConnectionFailed(f"{host}: no token: HTTP status {status}")
    answer = _object(body)
    if answer is None:
        if status in {401, 403}:
            raise Answered(f"HTTP status {status}", "", status)
        raise ProtocolViolation(
            f"{host}: HTTP status {status}, and no JSON object, in answer to a "
            "request for a token; is the URL right?"
        )
    if answer.get("error") or not 200 <= status < 300:
        raise Answered(
            shown(answer.get("error") or f"HTTP status {status}", secrets),
            shown(answer.get("error_description") or "", secrets),
            status,
            wait,
        )
    return answer


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds, of either form (RFC 9110, section 10.2.3)."""
    text = next(
        (
            value.decode("latin-1").strip()
            for name, value in headers
            if name.lower() == b"retry-after"
        ),
        "",
    )
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), _MOST_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _MOST_SECONDS)


def shown(text: object, secrets: Sequence[Secret]) -> str:
    """The server's words on one line: secrets, control characters and excess removed (hazards S1,
    M14)."""
    line = redact(str(text), secrets)[:_SHOWN]
    return one_line(line)


# What httpcore hands over and `wire` decides by itself is not looked at: time-outs, contexts,
# socket options.
# ruff: noqa: ARG002


class _Backend(httpcore.NetworkBackend):
    """Opens `wire` connections that all end at one deadline (monotonic clock)."""

    def __init__(self, ca_file: str | None, deadline: float, *, local: bool, proxied: bool) -> None:
        self._ca_file = ca_file
        self._deadline = deadline
        self._local = local or proxied
        self._role: Role = "proxies" if proxied else "tokens"
        self._opened: list[Connection] = []

    def close(self) -> None:
        """What httpcore leaves open where a connection fails half-way."""
        for connection in self._opened:
            connection.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        connection = Connection(
            Endpoint(host, port, "none", self._ca_file, role=self._role), _LIMITS, self._deadline
        )
        self._opened.append(connection)
        connection.open()
        if not self._local and reaches_this_machine(connection.socket.getpeername()[0]):
            raise SourceUnsuitable(f"{host} {_NEIGHBOUR}")
        return _Stream(connection, self._deadline)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("a token endpoint is no unix socket")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """What httpcore reads and writes through."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._received > _RECEIVED:
            raise httpcore.ReadError("its answer is too long")
        self._arm()
        try:
            data = self._connection.socket.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("it takes too long") from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""  # whether the answer is whole, its length or its JSON says
        except OSError as error:
            raise httpcore.ReadError(error.strerror or type(error).__name__) from None
        self._received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._arm()
        try:
            self._connection.socket.sendall(buffer)
        except TimeoutError:
            raise httpcore.WriteTimeout("it takes too long") from None
        except OSError as error:
            raise httpcore.WriteError(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """With a context of `wire`'s, not httpcore's. Behind a proxy the certificate is the
        server's, not the proxy's."""
        endpoint = self._connection.endpoint
        self._connection.endpoint = Endpoint(
            server_hostname or endpoint.host,
            endpoint.port,
            "implicit",
            endpoint.ca_file,
            role="tokens",
        )
        self._connection.start_tls()
        return self

    def get_extra_info(self, info: str) -> Any:
        return None

    def _arm(self) -> None:
        """A time-out for the next call, which ends at the deadline at the latest."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it takes too long")
        self._connection.socket.settimeout(min(left, _LIMITS.silence))
