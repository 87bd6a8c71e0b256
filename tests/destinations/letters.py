"""Messages on their way into a mail system, for the tests of LMTP and SMTP."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.model.collector_id import collector_id
from reconciler.model.messages import Account, DeliveryId, Folder
from reconciler.model.outcomes import DeliveryOutcome

ACCOUNT = Account("imap", "imap.example", 993, "sales")
LETTER = b"From: a@b.example\nSubject: hello\n\nbody\n"


def delivery(key: str = "1", collector: str = "sales") -> DeliveryId:
    return DeliveryId(collector, 1, Folder(ACCOUNT, "INBOX", 7), key)


def top(key: str = "1") -> bytes:
    """The first line that a message goes out with."""
    return f"X-Collector-Id: {collector_id(delivery(key))}\r\n".encode()


def deliver(
    system: MailSystem, content: bytes, recipients: Sequence[str], key: str = "1"
) -> list[DeliveryOutcome]:
    """One message from staging to settling; the outcomes."""
    parcel = system.stage(delivery(key), [content], recipients)
    try:
        ((committed, outcomes),) = system.commit([parcel])
    finally:
        system.discard([parcel])
    assert committed is parcel
    return list(outcomes)
