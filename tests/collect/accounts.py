"""Sessions of the real thing, without a daemon around them: a source, a Maildir, a ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from reconciler.collect.session import Session
from reconciler.collect.session_context import SessionTask
from reconciler.destinations.maildir import Maildir
from reconciler.ledger import open_ledger
from reconciler.model.history import Declaring, ParkedMessage
from reconciler.model.messages import Account as ServerAccount
from reconciler.model.messages import Folder
from reconciler.model.outcomes import SessionReport
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import open_imap
from reconciler.sources.pop3 import open_pop3
from reconciler.wire.connection_limits import Limits
from tests.collect.world import Helm, everything_to

Mode = Literal["all-delete", "new-delete", "new-keep"]
HASTY = Limits(silence=1)
"""For servers that fall silent."""
PATIENT = Limits()
"""A busy machine is not taken for a silent server."""


@dataclass
class Account:
    """One collector, whose sessions may be run as often as wanted."""

    directory: Path
    protocol: Literal["imap", "pop3"]
    mode: Mode = "new-keep"
    limit: int = 0
    limits: Limits = PATIENT
    folders: tuple[str, ...] = ("INBOX",)
    ignores_pauses: bool = True
    user: str = "user"
    secret: str = "secret"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.ledger = open_ledger(f"sqlite:///{self.directory}/ledger.sqlite3")
        self.ledger.declare_all([Declaring("sales", "digest", self.mode)], self.now)

    def session(self, host: str, port: int) -> SessionReport:
        spec = SourceSpec.model_validate(
            {
                "protocol": self.protocol,
                "host": host,
                "port": port,
                "tls": "none",
                "username": self.user,
                "password": {"env": "UNUSED"},
            }
            | ({"folders": list(self.folders)} if self.protocol == "imap" else {})
        )
        opener = open_imap if self.protocol == "imap" else open_pop3
        source = opener(spec, Secret(self.secret), self.limits)
        destination = Maildir(str(self.directory / "mail"), create=True)
        task = SessionTask("sales", self.mode, self.limit, 50 << 20, everything_to("a@here"))
        self.helm = Helm(ignores_pauses=self.ignores_pauses)
        try:
            report = Session(
                task, source, destination, self.ledger, self.helm, lambda: self.now
            ).run()
        finally:
            source.abort()
            destination.finish()
        assert (
            report.listed
            == report.collected + report.skipped + report.parked + report.failed + report.left
        )
        return report

    def folder(self, host: str, port: int) -> Folder:
        """As `Mailbox` numbers it."""
        account = ServerAccount(self.protocol, host, port, "user")
        return Folder(account, "INBOX", 7) if self.protocol == "imap" else Folder(account, "", 0)

    def delivered(self) -> Counter[bytes]:
        """What lies in the Maildir, with CRLF line ends."""
        return Counter(
            path.read_bytes().replace(b"\n", b"\r\n") for path in self.directory.glob("mail/new/*")
        )

    def parked(self) -> dict[str, ParkedMessage]:
        return {message.key: message for message in self.ledger.parked("sales")}

    def close(self) -> None:
        self.ledger.close()
