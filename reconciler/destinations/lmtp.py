"""LMTP (RFC 2033): the delivery agent of a mail server, over a unix socket or TCP."""

from __future__ import annotations

from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.destinations.transfer.transfer_dialogue import LIMITS, LMTP, TransferDialogue
from reconciler.model.spec import LmtpSpec
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.transcript import Transcript


def lmtp_endpoint(spec: LmtpSpec) -> Endpoint:
    """Return where an LMTP server listens. A path in `spec` is absolute already."""
    if spec.socket is not None:
        return Endpoint.local(spec.socket)
    assert spec.host is not None  # noqa: S101  # the schema: a socket, or host and port
    assert spec.port is not None  # noqa: S101  # the same
    return Endpoint(spec.host, spec.port, "none", role="destinations")


def lmtp_destination(
    endpoint: Endpoint, limits: Limits = LIMITS, transcript: Transcript | None = None
) -> MailSystem:
    """Return an LMTP server as the destination of one session. It connects when first needed. What
    is said is kept in `transcript`."""
    return MailSystem(lambda: TransferDialogue(LMTP, endpoint, limits, transcript))
