"""What was sent, to whom, and what arrived of it."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from dataclasses import dataclass, field

from tests.servers.dovecot import Dovecot
from tests.servers.mail import message

MODES = ("all-delete", "new-delete", "new-keep")
DOMAIN = "example.net"
_NUMBER = re.compile(rb"^Message-ID: <(\d+)\.soak@", re.MULTILINE)
_COLLECTOR_ID = re.compile(rb"^X-Collector-Id: (.*)$", re.MULTILINE)


@dataclass
class Account:
    """`sent`: what was put into its mailbox, by the number of the message: its size and its
    digest."""

    name: str
    protocol: str
    tls: str
    mode: str
    target: str
    sent: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return f"soak-{self.name}"

    @property
    def recipient(self) -> str:
        return f"{self.name}@{DOMAIN}"

    @property
    def port(self) -> str:
        return self.protocol + ("s" if self.tls == "implicit" else "")

    def __str__(self) -> str:
        return f"{self.protocol} {self.mode} {self.target}"

    def send(self, dovecot: Dovecot, numbers: range, chance: random.Random) -> None:
        letters = [letter(number, chance) for number in numbers]
        self.sent.update(
            {number: _seal(mail) for number, mail in zip(numbers, letters, strict=True)}
        )
        dovecot.deliver(self.user, letters)


@dataclass
class Arrived:
    """`copies` by the number of the message, `ids` that came with them; `strange`: what was never
    sent like that."""

    copies: Counter[int] = field(default_factory=Counter)
    ids: dict[int, set[bytes]] = field(default_factory=dict)
    strange: int = 0

    def add(self, account: Account, stored: bytes) -> None:
        """By LMTP, headers were put above it."""
        found = _NUMBER.search(stored)
        number = int(found[1]) if found else -1
        size, digest = account.sent.get(number, (0, b""))
        above = len(stored) - size
        if _seal(stored[above:])[1] != digest or (above and account.target == "maildir"):
            self.strange += 1
            return
        self.copies[number] += 1
        if account.target == "lmtp":
            self.ids.setdefault(number, set()).update(_COLLECTOR_ID.findall(stored[:above]))


def accounts(count: int) -> list[Account]:
    """Every mode by both protocols, with TLS for every third; one of four into LMTP."""
    return [
        Account(
            f"c{number:02}",
            ("imap", "pop3")[number % 2],
            ("none", "none", "implicit")[number // 2 % 3],
            MODES[(number // 2 + number // 6) % len(MODES)],
            "lmtp" if number // 2 % 4 == 3 else "maildir",
        )
        for number in range(count)
    ]


def letter(number: int, chance: random.Random) -> bytes:
    """Mostly small; no two alike. Without the Return-Path that a delivery by LMTP would replace."""
    size = chance.choice([200, 500, 1000, 2000, 4000, 30_000])
    return message(number, size, seed="soak").partition(b"\n")[2]


def _seal(mail: bytes) -> tuple[int, bytes]:
    return len(mail), hashlib.sha256(mail).digest()[:16]
