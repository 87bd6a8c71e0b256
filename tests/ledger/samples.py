"""Values that the ledger's tests share."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from reconciler.ledger import SqlLedger
from reconciler.model.history import DeclaredCollector, Declaring
from reconciler.model.messages import Account, Fingerprint, Folder
from reconciler.model.outcomes import Delivered, MessageState, Outcome, Record, SessionReport

NOW = datetime(2026, 11, 22, 22, 40, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
ACCOUNT = Account("imap", "imap.example.org", 993, "sales@example.org")
INBOX = Folder(ACCOUNT, "INBOX", 7)
MAILBOX = Folder(Account("pop3", "pop.example.org", 995, "sales"), "", 0)


def declare(
    ledger: SqlLedger, name: str, digest: str, mode: str, now: datetime
) -> DeclaredCollector:
    """Declare one collector."""
    return ledger.declare_all([Declaring(name, digest, mode)], now)[name]


def fingerprint(text: str) -> Fingerprint:
    return Fingerprint(
        hashlib.sha256(text.encode()).hexdigest(), hashlib.sha256(text.upper().encode()).hexdigest()
    )


def collected(key: str, *recipients: str, occurrence: int = 0) -> Record:
    return Record(
        key,
        MessageState.COLLECTED,
        100,
        occurrence,
        fingerprint(key),
        tuple(Delivered(recipient, f"file-{key}") for recipient in recipients or ("a@икс.рф",)),
    )


def parked(key: str, reason: str = "unknown-mailbox") -> Record:
    return Record(key, MessageState.PARKED, 100, reason=reason)


def failed(key: str, *recipients: str, reason: str = "451 later") -> Record:
    return Record(
        key,
        MessageState.FAILED,
        100,
        reason=reason,
        delivered=tuple(Delivered(recipient, f"file-{key}") for recipient in recipients),
    )


def session(number: int = 0, **counters: int) -> SessionReport:
    start = NOW + timedelta(minutes=number)
    end = start + timedelta(seconds=1)
    return SessionReport(start, end, Outcome.SUCCEEDED, **counters)  # type: ignore[arg-type]
