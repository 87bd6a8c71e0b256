"""The accounts of the private server, their mail, and the manifests that collect it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Protocol

from tests.servers import mail

TEMPLATES = Path(__file__).parent / "manifests"
SUBJECTS = (
    "Your order",
    "Re: delivery on Friday",
    "Счёт на оплату",
    "Question about the blue one",
    "見積もり",
)


class Server(Protocol):
    """The private mail server: Dovecot, or the small server of the demo."""

    @property
    def host(self) -> str: ...

    @property
    def password(self) -> str: ...

    @property
    def ports(self) -> Mapping[str, int]: ...

    @property
    def ca_file(self) -> Path: ...

    def deliver(self, user: str, messages: Iterable[bytes], folder: str = ...) -> Any: ...

    def messages(self, user: str, folder: str = ...) -> list[bytes]: ...


@dataclass(frozen=True)
class Account:
    """An account on the server. The collector of the same name delivers its mail to `recipient`."""

    name: str
    username: str
    recipient: str
    folders: dict[str, int]
    """The number of messages at the start, by folder."""
    emptied: bool
    """Whether the collector's mode deletes what it collected."""

    @property
    def total(self) -> int:
        """Return the number of messages at the start in all folders."""
        return sum(self.folders.values())


ACCOUNTS = (
    Account(
        "sales",
        "sales@shop.example",
        "sales@office.example",
        {"INBOX": 40, "Lists/partners": 12, "Lists/news": 8},
        emptied=False,
    ),
    Account(
        "support", "support@shop.example", "support@office.example", {"INBOX": 35}, emptied=True
    ),
    Account("orders", "orders@shop.example", "orders@office.example", {"INBOX": 50}, emptied=True),
    Account("info", "info@shop.example", "info@office.example", {"INBOX": 25}, emptied=False),
)


class Scene:
    """The directory `.demo/`: manifests, secrets, the server's CA, the daemon's state and log, and
    the collected mail."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "collectors.d"
        self.state = root / "state"
        self.mail = root / "mail"
        self.log = root / "daemon.log"

    def lay_out(self, server: Server) -> None:
        """Create the directory again, and fill the server's mailboxes."""
        for name in ("collectors.d", "secrets", "state", "mail"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir(mode=0o700, parents=True)
        shutil.copy(server.ca_file, self.root / "ca.pem")
        for account in ACCOUNTS:
            self.write_secret(account.name, server.password)
            for folder, messages in sent(account):
                server.deliver(account.username, messages, folder)
        for template in sorted(TEMPLATES.glob("*.yaml")):
            text = Template(template.read_text(encoding="utf-8")).substitute(
                server.ports, host=server.host
            )
            (self.manifests / template.name).write_text(text, encoding="utf-8")

    def maildir(self, account: Account) -> Path:
        """Return the Maildir of an account as the manifests declare it."""
        local, _, domain = account.recipient.partition("@")
        return self.mail / domain / local

    def delivered(self, account: Account) -> Counter[bytes]:
        """Return the contents of the delivered messages, with the number of their copies."""
        maildir = self.maildir(account)
        return Counter(
            path.read_bytes() for name in ("new", "cur") for path in maildir.glob(f"{name}/*")
        )

    def write_secret(self, name: str, password: str) -> None:
        """Write a file of mode 0600 into `secrets`."""
        path = self.root / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(password + "\n", encoding="utf-8")


def sent(account: Account) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each folder of an account with its messages at the start, the same in every run."""
    for folder, count in account.folders.items():
        yield folder, [letter(number, f"{account.name}/{folder}") for number in range(1, count + 1)]


def letter(number: int, seed: str) -> bytes:
    """Return a unique message of 0.3 to 60 kB."""
    size = 60_000 if number % 20 == 0 else 300 + 170 * (number % 20)
    return mail.message(number, size, SUBJECTS[number % len(SUBJECTS)], seed=seed)
