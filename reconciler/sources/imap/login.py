"""From an open connection to a logged-in one: greeting, STARTTLS (RFC 3501, 6.2.1), SASL PLAIN or LOGIN."""

from __future__ import annotations

import base64
import imaplib

from reconciler.model.errors import ConnectionFailed, Throttled, TlsRefused
from reconciler.model.secret import Secret
from reconciler.sources.imap.dialogue import Client
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.responses import Completed
from reconciler.wire import sasl
from reconciler.wire.connection import Connection


def log_in(connection: Connection, failures: Failures, username: str, password: Secret) -> Client:
    """Connect and log in. Credentials go out only over what the manifest asks for (hazards T1, T2, T12)."""
    sasl.check_credentials(username, password)
    connection.open()
    client = _greet(connection, failures)
    with failures.translated("login"):
        if connection.endpoint.tls == "starttls":
            _start_tls(client)
        if client.dialogue.state == "NONAUTH":
            _authenticate(client, failures, username, password)
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


def _authenticate(client: Client, failures: Failures, username: str, password: Secret) -> None:
    connection, offered = client.dialogue.connection, client.dialogue.capabilities
    if connection.endpoint.tls != "none" and not connection.secure:
        raise TlsRefused(f"{connection.endpoint}: the connection is not encrypted; the password was not sent")
    if "LOGINDISABLED" in offered and not (connection.secure and "AUTH=PLAIN" in offered):
        raise TlsRefused(f"{connection.endpoint}: the server does not let anybody log in this way (LOGINDISABLED); the "
                         "password was not sent. Set source.tls to starttls or implicit.")
    client.dialogue.untagged("CAPABILITY")
    completed = (_plain if "AUTH=PLAIN" in offered else _login)(client, username, password)
    if not completed.ok:
        raise failures.login(completed)
    client.dialogue.state = "AUTH"


def _plain(client: Client, username: str, password: Secret) -> Completed:
    """SASL PLAIN, with its initial response (RFC 4959) where the server takes it: one round trip less."""
    message = base64.b64encode(sasl.plain(username, password))
    if "SASL-IR" in client.dialogue.capabilities:
        return client.dialogue.run("AUTHENTICATE", "PLAIN", message)
    return client.dialogue.answer_challenges("AUTHENTICATE", ["PLAIN"], [message])


def _login(client: Client, username: str, password: Secret) -> Completed:
    """LOGIN, with literals for what a quoted string must not hold (RFC 3501, section 9: QUOTED-CHAR)."""
    name, word = username.encode(), password.reveal().encode()
    if name.isascii() and word.isascii():
        return client.dialogue.run("LOGIN", _quoted(name), _quoted(word))
    return client.dialogue.answer_challenges("LOGIN", [f"{{{len(name)}}}"], [name + b" {%d}" % len(word), word])


def _ask_capabilities_again(client: Client) -> None:
    """They change with the login (hazard I29); many servers say so unasked."""
    if not client.dialogue.learn_capabilities():
        client.dialogue.refresh_capabilities()


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
