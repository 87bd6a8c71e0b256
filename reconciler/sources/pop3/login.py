"""From the greeting to the TRANSACTION state."""

from __future__ import annotations

import base64

from reconciler.model.errors import AuthenticationFailed, SourceError, SourceUnsuitable, Throttled, TlsRefused
from reconciler.model.secret import Secret
from reconciler.sources.pop3.capabilities import Capabilities, ask
from reconciler.sources.pop3.dialogue import Dialogue, Reply
from reconciler.wire import sasl

_LONGEST_COMMAND = 255  # octets with CRLF (RFC 2449, section 4)


def log_in(dialogue: Dialogue, username: str, password: Secret) -> Capabilities:
    """Greet, secure, authenticate; what the server offered before the login.

    Raises `TlsRefused` before credentials are sent, `AuthenticationFailed`, `Throttled`, `SourceUnsuitable`.
    """
    sasl.check_credentials(username, password)
    greeting = dialogue.greeting()
    if not greeting.ok:
        raise dialogue.refusal(greeting, "refused") or Throttled(
            f"{dialogue.connection.endpoint}: refused: {dialogue.quote(greeting)}")
    capabilities = ask(dialogue)
    if dialogue.connection.endpoint.tls == "starttls":
        _start_tls(dialogue, capabilities)
        capabilities = ask(dialogue)  # what was offered in the clear counts no longer (RFC 2595, section 4)
    if "UTF8" in capabilities:
        dialogue.command(b"UTF8")  # else some servers wrap 8-bit mail anew each time (RFC 6856; hazard P12)
    _authenticate(dialogue, capabilities, username, password)
    return capabilities


def _start_tls(dialogue: Dialogue, capabilities: Capabilities) -> None:
    endpoint = dialogue.connection.endpoint
    if "STLS" not in capabilities:
        raise TlsRefused(f"{endpoint}: the server does not offer STLS; nothing was sent. Is `tls: implicit` meant?")
    reply = dialogue.command(b"STLS")
    if not reply.ok:
        raise TlsRefused(f"{endpoint}: STLS refused: {dialogue.quote(reply)}")
    dialogue.connection.start_tls()


def _authenticate(dialogue: Dialogue, capabilities: Capabilities, username: str, password: Secret) -> None:
    """SASL PLAIN where it is offered, else USER and PASS; nothing that the server does not offer (hazard T12)."""
    if "PLAIN" in capabilities.sasl:
        reply = _plain(dialogue, username, password)
    elif "USER" in capabilities or not capabilities.known:
        reply = dialogue.command(b"USER " + username.encode())
        if reply.ok:
            reply = dialogue.command(b"PASS " + password.reveal().encode())
    else:
        mend = "" if dialogue.connection.secure else " Perhaps it does with TLS: see source.tls."
        raise SourceUnsuitable(f"{dialogue.connection.endpoint}: the server offers neither USER nor SASL PLAIN.{mend}")
    if not reply.ok:
        raise _refused(dialogue, reply, capabilities)


def _plain(dialogue: Dialogue, username: str, password: Secret) -> Reply:
    """AUTH PLAIN with its response at once, where that fits into a command (RFC 5034, section 4)."""
    response = base64.b64encode(sasl.plain(username, password))
    dialogue.secrets.append(Secret(response.decode()))
    command = b"AUTH PLAIN " + response
    if len(command) + 2 <= _LONGEST_COMMAND:
        return dialogue.command(command)
    dialogue.send(b"AUTH PLAIN")
    refused = dialogue.challenge()
    dialogue.owed -= 1
    return refused or dialogue.command(response)


def _refused(dialogue: Dialogue, reply: Reply, capabilities: Capabilities) -> SourceError:
    error = dialogue.refusal(reply, "login refused", login_delay=capabilities.login_delay)
    if error is not None:
        return error
    text = f"{dialogue.connection.endpoint}: login refused: {dialogue.quote(reply)}"
    return AuthenticationFailed(text, certain=False)  # without [AUTH] it may be anything (RFC 3206, section 4)
