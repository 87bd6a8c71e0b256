"""SMTP (RFC 5321) with STARTTLS (RFC 3207) and AUTH (RFC 4954): a mail server that takes mail for its own users."""

from __future__ import annotations

import base64

from msgspec import Struct

from reconciler.destinations.transfer.destination import MailSystem
from reconciler.destinations.transfer.dialogue import LIMITS, SMTP, Dialogue
from reconciler.destinations.transfer.reply import Reply
from reconciler.manifests.domains import is_loopback
from reconciler.manifests.spec import SmtpSpec
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.interfaces import SecretReader
from reconciler.model.secret import Secret
from reconciler.wire import sasl
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.limits import Limits


class Login(Struct, frozen=True):
    """`password` is read when it is needed, once for each connection."""

    username: str
    password: SecretReader


def smtp_endpoint(spec: SmtpSpec) -> Endpoint:
    """Paths in `spec` made absolute already."""
    return Endpoint(spec.host, spec.port, spec.tls, spec.ca_file, spec.fingerprint, role="destinations")


def smtp_destination(endpoint: Endpoint, login: Login | None = None, limits: Limits = LIMITS) -> MailSystem:
    """For one session; nothing is connected yet. Certificates are always verified (`wire.tls`)."""
    return MailSystem(lambda: Dialogue(SMTP, endpoint, limits), lambda dialogue: _make_ready(dialogue, endpoint, login))


def _make_ready(dialogue: Dialogue, endpoint: Endpoint, login: Login | None) -> None:
    if endpoint.tls == "starttls":
        if "STARTTLS" not in dialogue.extensions:
            raise DestinationUnavailable(f"{endpoint}: the server offers no STARTTLS; nothing was sent")
        if (reply := dialogue.ask("STARTTLS")).code != 220:
            raise DestinationUnavailable(f"{endpoint}: the server refuses STARTTLS: {reply}")
        dialogue.connection.start_tls()
        dialogue.greet()
    if login is not None:
        if not dialogue.connection.secure and not is_loopback(endpoint.host):
            raise DestinationUnavailable(f"{endpoint}: the password of {login.username} is not sent unencrypted to "
                                         "another machine: use `tls: starttls` or `tls: implicit`")
        password = login.password()
        plain = _encoded(sasl.plain(login.username, password))
        dialogue.secrets = (password, Secret(plain))
        reply = _log_in(dialogue, plain, login.username, password)
        if reply.code != 235:
            raise DestinationUnavailable(f"{endpoint}: the server refuses the login of {login.username}: {reply}")


def _log_in(dialogue: Dialogue, plain: str, username: str, password: Secret) -> Reply:
    """PLAIN (RFC 4616), or LOGIN where that is all there is; the last reply."""
    mechanisms = dialogue.extensions.get("AUTH", "").upper().split()
    if "PLAIN" in mechanisms:
        return dialogue.ask(f"AUTH PLAIN {plain}")
    if "LOGIN" not in mechanisms:
        raise DestinationUnavailable(f"{dialogue.connection.endpoint}: the server offers neither AUTH PLAIN nor LOGIN")
    reply = dialogue.ask("AUTH LOGIN")
    for answer in (username, password.reveal()):
        if reply.code == 334:
            reply = dialogue.ask(_encoded(answer.encode()))
    return reply


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
