"""SMTP (RFC 5321) with STARTTLS (RFC 3207) and AUTH (RFC 4954): a mail server that takes mail for
its own users."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from msgspec import Struct

from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.destinations.transfer.transfer_dialogue import LIMITS, SMTP, TransferDialogue
from reconciler.destinations.transfer.transfer_reply import TransferReply
from reconciler.model.domains import is_loopback
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import SecretReader
from reconciler.model.secret import Secret
from reconciler.model.spec import SmtpSpec
from reconciler.wire import sasl
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.transcript import Transcript

_LOGGED_IN = 235
_NOT_UNDERSTOOD = (500, 501)


class SmtpLogin(Struct, frozen=True):
    """A user name, and a reader of the password, which is called once for each connection."""

    username: str
    password: SecretReader


def smtp_endpoint(spec: SmtpSpec) -> Endpoint:
    """Return where an SMTP server listens. Paths in `spec` are absolute already."""
    return Endpoint(
        spec.host, spec.port, spec.tls, spec.ca_file, spec.fingerprint, role="destinations"
    )


def smtp_destination(
    endpoint: Endpoint,
    login: SmtpLogin | None = None,
    limits: Limits = LIMITS,
    transcript: Transcript | None = None,
) -> MailSystem:
    """Return an SMTP server as the destination of one session. It connects when first needed.
    Certificates are always verified (`wire.tls`). What is said is kept in `transcript`."""
    read: list[Secret] = []

    def connect() -> TransferDialogue:
        dialogue = TransferDialogue(SMTP, endpoint, limits, transcript)
        if login is not None and (endpoint.tls != "none" or is_loopback(endpoint.host)):
            # before anything is said: a server may know it from before
            read[:] = [login.password()]
            dialogue.hide(*read, Secret(_plain_response(login.username, read[0])))
        return dialogue

    return MailSystem(
        connect,
        lambda dialogue: _make_ready(dialogue, endpoint, login.username if login else "", read),
    )


def _plain_response(username: str, password: Secret) -> str:
    """Return what AUTH PLAIN sends."""
    return _encoded(sasl.plain(username, password))


def _make_ready(
    dialogue: TransferDialogue, endpoint: Endpoint, username: str, read: Sequence[Secret]
) -> None:
    """Begin TLS, and log in with the password that was read, if any. Raises
    DestinationUnavailable."""
    if endpoint.tls == "starttls":
        if "STARTTLS" not in dialogue.extensions:
            raise DestinationUnavailable(
                f"{endpoint}: the server offers no STARTTLS; nothing was sent"
            )
        if (reply := dialogue.ask("STARTTLS")).code != 220:
            raise dialogue.unavailable("the server refuses STARTTLS", reply)
        dialogue.connection.start_tls()
        dialogue.greet()
    if username and not dialogue.connection.secure and not is_loopback(endpoint.host):
        raise DestinationUnavailable(
            f"{endpoint}: the password of {username} is not sent unencrypted to "
            "another machine: use `tls: starttls` or `tls: implicit`"
        )
    for password in read:
        reply = _log_in(dialogue, _plain_response(username, password), username, password)
        if reply.code != _LOGGED_IN:
            raise DestinationUnavailable(
                f"{endpoint}: the server refuses the login of {username}: {reply}",
                retry_after=reply.wait,
            )


def _log_in(
    dialogue: TransferDialogue, plain: str, username: str, password: Secret
) -> TransferReply:
    """Try PLAIN (RFC 4616), then LOGIN, each once if it is offered: some servers offer mechanisms
    that do not work. Return the last reply. Raises DestinationUnavailable where none is offered."""
    offered = dialogue.extensions.get("AUTH", "").upper().split()
    reply = None
    for mechanism in ("PLAIN", "LOGIN"):
        if mechanism in offered:
            reply = (
                _plain(dialogue, plain)
                if mechanism == "PLAIN"
                else _login(dialogue, username, password)
            )
            if reply.code == _LOGGED_IN or not reply.refused:
                return reply
    if reply is None:
        raise DestinationUnavailable(
            f"{dialogue.connection.endpoint}: the server offers neither AUTH PLAIN nor LOGIN"
        )
    return reply


def _plain(dialogue: TransferDialogue, plain: str) -> TransferReply:
    """Log in by PLAIN with an initial response (RFC 4954, section 4). Where the server does not
    understand that, log in without one."""
    reply = dialogue.ask(f"AUTH PLAIN {plain}")
    if reply.code in _NOT_UNDERSTOOD:
        reply = dialogue.ask("AUTH PLAIN")
    return dialogue.ask(plain) if reply.wants_more else reply


def _login(dialogue: TransferDialogue, username: str, password: Secret) -> TransferReply:
    reply = dialogue.ask("AUTH LOGIN")
    for answer in (username, password.reveal()):
        if reply.wants_more:
            reply = dialogue.ask(_encoded(answer.encode()))
    return reply


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
