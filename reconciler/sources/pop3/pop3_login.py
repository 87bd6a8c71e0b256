"""Log in to a POP3 server: greeting, STLS, SASL or USER and PASS."""

from __future__ import annotations

import re
from functools import partial

from reconciler.model.errors import (
    ProtocolViolation,
    SourceUnavailable,
    SourceUnsuitable,
    TlsRefused,
)
from reconciler.replies.refusals import refused_login
from reconciler.sources.pop3.pop3_dialogue import Capabilities, Pop3Dialogue, Pop3Reply
from reconciler.wire import sasl
from reconciler.wire.account_memory import AccountMemory
from reconciler.wire.login_attempts import LoginMethod, LoginRefusal, try_methods
from reconciler.wire.sasl import Credentials

_UNKNOWN = re.compile(
    rb"mechanism|not supported|unsupported|unrecogni[sz]ed|(?:unknown|invalid|bad) command|syntax",
    re.IGNORECASE,
)
"""A command that is not understood; POP3 has no BAD for it."""
_LONGEST_COMMAND = 255  # octets with CRLF (RFC 2449, section 4)


def log_in(dialogue: Pop3Dialogue, credentials: Credentials, memory: AccountMemory) -> Capabilities:
    """Connect, begin TLS, log in; return what the server offered before the login.

    Raises `TlsRefused` before credentials are sent, `AuthenticationFailed`, `Throttled`,
    `SourceUnsuitable`.
    """
    credentials.check()
    greeting = dialogue.greeting()
    if not greeting.ok:
        refused = dialogue.refusal(greeting, "refused") or SourceUnavailable(
            f"{dialogue.connection.endpoint}: refused: {dialogue.quote(greeting)}"
        )
        refused.of_address = True
        raise refused
    capabilities = dialogue.ask_capabilities()
    if dialogue.connection.endpoint.tls == "starttls":
        _start_tls(dialogue, capabilities)
        # what was offered in the clear no longer counts (RFC 2595, section 4)
        capabilities = dialogue.ask_capabilities()
    if "UTF8" in capabilities:
        dialogue.command(
            b"UTF8"
        )  # else some servers wrap 8-bit mail anew each time (RFC 6856; hazard P12)
    _authenticate(dialogue, capabilities, credentials, memory)
    return capabilities


def _start_tls(dialogue: Pop3Dialogue, capabilities: Capabilities) -> None:
    endpoint = dialogue.connection.endpoint
    if "STLS" not in capabilities:
        raise TlsRefused(
            f"{endpoint}: the server does not offer STLS; nothing was sent. Is `tls: implicit` "
            "meant?"
        )
    reply = dialogue.command(b"STLS")
    if not reply.ok:
        raise TlsRefused(f"{endpoint}: STLS refused: {dialogue.quote(reply)}")
    dialogue.connection.start_tls()


def _authenticate(
    dialogue: Pop3Dialogue,
    capabilities: Capabilities,
    credentials: Credentials,
    memory: AccountMemory,
) -> None:
    """Log in by SASL where it is offered, by USER and PASS last.

    Without TLS only what the server offers is used (hazard T12). With TLS USER is tried as well
    where it is not announced, as some servers leave it out (RFC 2449, section 6.3).
    """
    secure = dialogue.connection.secure
    methods = [
        LoginMethod(name, partial(_by_mechanism, dialogue, capabilities, credentials, name))
        for name in sasl.mechanisms(credentials, capabilities.sasl, secure=secure)
    ]
    offered = "USER" in capabilities or not capabilities.known
    if not credentials.token and (
        secure or (offered and not sasl.hides_password(capabilities.sasl))
    ):
        methods.append(
            LoginMethod("USER and PASS", partial(_by_command, dialogue, capabilities, credentials))
        )
    if not methods:
        raise _unsuitable(dialogue, credentials)
    try_methods(methods, memory, credentials)


def _unsuitable(dialogue: Pop3Dialogue, credentials: Credentials) -> SourceUnsuitable:
    if credentials.token:
        return SourceUnsuitable(
            f"{dialogue.connection.endpoint}: the server takes neither OAUTHBEARER nor XOAUTH2; "
            "log in with source.password instead"
        )
    hint = "" if dialogue.connection.secure else " Perhaps it does with TLS: see source.tls."
    return SourceUnsuitable(
        f"{dialogue.connection.endpoint}: the server offers neither USER nor SASL PLAIN.{hint}"
    )


def _by_mechanism(
    dialogue: Pop3Dialogue, capabilities: Capabilities, credentials: Credentials, name: str
) -> LoginRefusal | None:
    """Run AUTH; return None where it worked.

    The initial response goes along where it fits into a command (RFC 5034, section 4): Microsoft's
    servers accept no longer ones.
    """
    try:
        exchange = sasl.begin(name, credentials)
    except SourceUnsuitable as error:
        return LoginRefusal(error, understood=False)
    command = b"AUTH " + name.encode()
    initial = exchange.initial()
    if initial is not None and len(command) + len(initial) + 3 <= _LONGEST_COMMAND:
        command, initial = command + b" " + initial, None
    dialogue.send(command)
    answers = sasl.ChallengeAnswers(exchange)
    while isinstance(challenge := dialogue.challenge(), bytes):
        answer, initial = answers.give(challenge) if initial is None else initial, None
        if answer is None:
            raise answers.confused or ProtocolViolation(
                f"{dialogue.connection.endpoint}: the login does not end"
            )
        dialogue.connection.send(answer + b"\r\n")
    dialogue.owed -= 1
    if answers.confused and not credentials.token:
        return LoginRefusal(
            SourceUnsuitable(f"{dialogue.connection.endpoint}: {answers.confused}"),
            understood=False,
        )
    if not challenge.ok:
        return _refused(dialogue, challenge, capabilities)
    exchange.settle()
    return None


def _by_command(
    dialogue: Pop3Dialogue, capabilities: Capabilities, credentials: Credentials
) -> LoginRefusal | None:
    reply = dialogue.command(b"USER " + credentials.username.encode())
    if reply.ok:
        reply = dialogue.command(b"PASS " + credentials.secret.reveal().encode())
    return None if reply.ok else _refused(dialogue, reply, capabilities)


def _refused(dialogue: Pop3Dialogue, reply: Pop3Reply, capabilities: Capabilities) -> LoginRefusal:
    error = dialogue.refusal(reply, "login refused", login_delay=capabilities.login_delay)
    if error is None:
        text = f"{dialogue.connection.endpoint}: login refused: {dialogue.quote(reply)}"
        # without [AUTH] it may be anything (RFC 3206, section 4)
        error = refused_login(
            text,
            reply.text,
            host=dialogue.connection.endpoint.host,
            protocol="pop3",
            provider=dialogue.connection.endpoint.provider,
        )
    return LoginRefusal(error, understood=_UNKNOWN.search(reply.rest) is None)
