"""What was sent, to whom, and what arrived of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.servers.mail import message


@dataclass
class Account:
    """`sent` are digests of everything that was put into its mailbox."""

    name: str
    protocol: str
    tls: str
    mode: str
    sent: Counter[bytes] = field(default_factory=Counter)

    @property
    def user(self) -> str:
        return f"soak-{self.name}"

    @property
    def port(self) -> str:
        return self.protocol + ("s" if self.tls == "implicit" else "")


MODES = ("all-delete", "new-delete", "new-keep")


def accounts(count: int) -> list[Account]:
    """Every mode by both protocols, with TLS for every third."""
    return [Account(f"c{number:02}", ("imap", "pop3")[number % 2], ("none", "none", "implicit")[number // 2 % 3],
                    MODES[number // 2 % len(MODES)]) for number in range(count)]


def letter(number: int, chance: random.Random) -> bytes:
    """Mostly small; no two alike."""
    size = chance.choice([200, 500, 1000, 2000, 4000, 30_000])
    return message(number, size, seed="soak")
