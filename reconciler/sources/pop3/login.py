"""From the greeting to the TRANSACTION state."""

from __future__ import annotations

from reconciler.model.errors import AuthenticationFailed, SourceError, SourceUnsuitable, Throttled, TlsRefused
from reconciler.providers.refusals import refused_login
from reconciler.sources.pop3.capabilities import Capabilities, ask
from reconciler.sources.pop3.dialogue import Dialogue, Reply
from reconciler.wire import sasl
from reconciler.wire.sasl import Credentials, Exchange

_LONGEST_COMMAND = 255  # octets with CRLF (RFC 2449, section 4)


def log_in(dialogue: Dialogue, credentials: Credentials) -> Capabilities:
    """Greet, secure, authenticate; what the server offered before the login.

    Raises `TlsRefused` before credentials are sent, `AuthenticationFailed`, `Throttled`, `SourceUnsuitable`.
    """
    credentials.check()
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
    _authenticate(dialogue, capabilities, credentials)
    return capabilities


def _start_tls(dialogue: Dialogue, capabilities: Capabilities) -> None:
    endpoint = dialogue.connection.endpoint
    if "STLS" not in capabilities:
        raise TlsRefused(f"{endpoint}: the server does not offer STLS; nothing was sent. Is `tls: implicit` meant?")
    reply = dialogue.command(b"STLS")
    if not reply.ok:
        raise TlsRefused(f"{endpoint}: STLS refused: {dialogue.quote(reply)}")
    dialogue.connection.start_tls()


def _authenticate(dialogue: Dialogue, capabilities: Capabilities, credentials: Credentials) -> None:
    """SASL where it is offered, else USER and PASS; nothing that the server does not offer (hazard T12)."""
    secure = dialogue.connection.secure
    known = list(sasl.exchanges(credentials, capabilities.sasl, secure=secure))
    refused: SourceError | None = None
    for exchange in known:
        refused = _exchange(dialogue, exchange, capabilities)
        if not isinstance(refused, AuthenticationFailed):
            break
    if refused is not None:
        raise refused
    if known:
        return
    if credentials.token or not ("USER" in capabilities or not capabilities.known):
        raise _unsuitable(dialogue, credentials)
    reply = dialogue.command(b"USER " + credentials.username.encode())
    if reply.ok:
        reply = dialogue.command(b"PASS " + credentials.secret.reveal().encode())
    if not reply.ok:
        raise _refused(dialogue, reply, capabilities)


def _unsuitable(dialogue: Dialogue, credentials: Credentials) -> SourceUnsuitable:
    if credentials.token:
        return SourceUnsuitable(f"{dialogue.connection.endpoint}: the server takes neither OAUTHBEARER nor XOAUTH2; "
                                "log in with source.password instead")
    mend = "" if dialogue.connection.secure else " Perhaps it does with TLS: see source.tls."
    return SourceUnsuitable(f"{dialogue.connection.endpoint}: the server offers neither USER nor SASL PLAIN.{mend}")


def _exchange(dialogue: Dialogue, exchange: Exchange, capabilities: Capabilities) -> SourceError | None:
    """AUTH with its initial response at once, where that fits into a command (RFC 5034, section 4): Microsoft's servers
    accept no longer ones. None: logged in."""
    command = b"AUTH " + exchange.name.encode()
    initial = exchange.initial()
    if initial is not None and len(command) + len(initial) + 3 <= _LONGEST_COMMAND:
        command, initial = command + b" " + initial, None
    dialogue.send(command)
    while isinstance(said := dialogue.challenge(), bytes):
        dialogue.connection.send((exchange.reply(said) if initial is None else initial) + b"\r\n")
        initial = None
    dialogue.owed -= 1
    if not said.ok:
        return _refused(dialogue, said, capabilities)
    exchange.settle()
    return None


def _refused(dialogue: Dialogue, reply: Reply, capabilities: Capabilities) -> SourceError:
    error = dialogue.refusal(reply, "login refused", login_delay=capabilities.login_delay)
    if error is not None:
        return error
    text = f"{dialogue.connection.endpoint}: login refused: {dialogue.quote(reply)}"
    # without [AUTH] it may be anything (RFC 3206, section 4)
    return refused_login(text, host=dialogue.connection.endpoint.host, protocol="pop3")
