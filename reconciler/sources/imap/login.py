"""From an open connection to a logged-in one: greeting, STARTTLS (RFC 3501, 6.2.1), SASL or LOGIN."""

from __future__ import annotations

import imaplib
from collections.abc import Sequence

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    SourceError,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.secret import Secret
from reconciler.sources.imap.dialogue import Client
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.responses import Completed
from reconciler.wire import sasl
from reconciler.wire.connection import Connection
from reconciler.wire.sasl import Credentials, Exchange


def log_in(connection: Connection, failures: Failures, credentials: Credentials) -> Client:
    """Connect and log in. Credentials go out only over what the manifest asks for (hazards T1, T2, T12)."""
    credentials.check()
    connection.open()
    client = _greet(connection, failures)
    with failures.translated("login"):
        if connection.endpoint.tls == "starttls":
            _start_tls(client)
        if client.dialogue.state == "NONAUTH":
            _authenticate(client, failures, credentials)
        _ask_capabilities_again(client)
    return client


def _greet(connection: Connection, failures: Failures) -> Client:
    try:
        return Client(connection)
    except imaplib.IMAP4.error as error:
        raise failures.greeting(error) from None
    except ConnectionFailed as error:
        if connection.ended and not connection.received:
            raise Throttled(f"{error} without a greeting: too many connections, probably") from None
        raise


def _start_tls(client: Client) -> None:
    connection = client.dialogue.connection
    if client.dialogue.state != "NONAUTH":
        raise TlsRefused(f"{connection.endpoint}: the server logged us in (PREAUTH) before TLS, as in an attack; "
                         "nothing was sent")
    if "STARTTLS" not in client.dialogue.capabilities:
        raise TlsRefused(f"{connection.endpoint}: the server does not offer STARTTLS; the password was not sent. "
                         "Use tls: implicit, if it has an IMAPS port.")
    if not client.dialogue.run("STARTTLS").ok:
        raise TlsRefused(f"{connection.endpoint}: the server refuses STARTTLS; the password was not sent")
    connection.start_tls()
    client.dialogue.untagged_responses.clear()  # said before TLS, by whomever (hazards 4, T4)
    client.dialogue.refresh_capabilities()


def _authenticate(client: Client, failures: Failures, credentials: Credentials) -> None:
    connection, offered = client.dialogue.connection, client.dialogue.capabilities
    if connection.endpoint.tls != "none" and not connection.secure:
        raise TlsRefused(f"{connection.endpoint}: the connection is not encrypted; the password was not sent")
    mechanisms = {word.removeprefix("AUTH=") for word in offered if word.startswith("AUTH=")}
    if "LOGINDISABLED" in offered and not connection.secure:
        mechanisms.discard("PLAIN")
    known = list(sasl.exchanges(credentials, mechanisms, secure=connection.secure))
    if not known and credentials.token:
        raise SourceUnsuitable(f"{connection.endpoint}: the server takes neither OAUTHBEARER nor XOAUTH2; log in with "
                               "source.password instead")
    if not known and "LOGINDISABLED" in offered:
        raise TlsRefused(f"{connection.endpoint}: the server does not let anybody log in this way (LOGINDISABLED); the "
                         "password was not sent. Set source.tls to starttls or implicit.")
    _try(client, failures, known, credentials)
    client.dialogue.state = "AUTH"


def _try(client: Client, failures: Failures, known: Sequence[Exchange], credentials: Credentials) -> None:
    """One after the other, as long as it is the credentials that are refused."""
    client.dialogue.untagged("CAPABILITY")
    if not known:
        completed = _login(client, credentials.username, credentials.secret)
        if not completed.ok:
            raise failures.login(completed)
    refused: SourceError | None = None
    for exchange in known:
        completed = _exchange(client, exchange)
        if completed.ok:
            exchange.settle()
            return
        refused = failures.login(completed)
        if not isinstance(refused, AuthenticationFailed):
            break
    if refused is not None:
        raise refused


def _exchange(client: Client, exchange: Exchange) -> Completed:
    """AUTHENTICATE, with its initial response (RFC 4959) where the server takes it: one round trip less."""
    initial = exchange.initial() if "SASL-IR" in client.dialogue.capabilities else None
    arguments = [exchange.name.encode(), *([initial] if initial is not None else [])]
    return client.dialogue.converse("AUTHENTICATE", arguments, exchange.reply)


def _login(client: Client, username: str, password: Secret) -> Completed:
    """LOGIN, with literals for what a quoted string must not hold (RFC 3501, section 9: QUOTED-CHAR)."""
    name, word = username.encode(), password.reveal().encode()
    if name.isascii() and word.isascii():
        return client.dialogue.run("LOGIN", _quoted(name), _quoted(word))
    answers = iter([name + b" {%d}" % len(word), word])
    return client.dialogue.converse("LOGIN", [b"{%d}" % len(name)], lambda _: next(answers, None))


def _ask_capabilities_again(client: Client) -> None:
    """They change with the login (hazard I29); many servers say so unasked."""
    if not client.dialogue.learn_capabilities():
        client.dialogue.refresh_capabilities()


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
