"""A mailbox with a few messages, a collector of it, and what must be true of both after any
crash."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import select

from reconciler.ledger import open_ledger
from reconciler.ledger.tables import messages
from reconciler.model.outcomes import MessageState
from tests.crashes.edge import Death
from tests.crashes.nursery import KILLED, Nursery
from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import message

Mode = Literal["all-delete", "new-delete", "new-keep"]
Protocol = Literal["imap", "pop3"]
Target = Literal["maildir", "lmtp"]
MAILS = [message(1, seed="crash"), message(2, 30_000, seed="crash"), message(3, seed="crash")]
REVIVALS = 3
"""Sessions after a crash, at most: the server may still be busy with what the dead one had said
last."""


@dataclass(frozen=True)
class Combination:
    mode: Mode
    protocol: Protocol
    target: Target
    theirs: bool = False
    """The Maildirs belong to another user than the one who delivers, who is root."""

    def __str__(self) -> str:
        return f"{self.mode} {self.protocol} {self.target}{', of a user' if self.theirs else ''}"


COMBINATIONS = [
    Combination(mode, protocol, target)
    for target in get_args(Target)
    for protocol in get_args(Protocol)
    for mode in get_args(Mode)
]
OWNED = [Combination(mode, "imap", "maildir", theirs=True) for mode in get_args(Mode)]
OWNER = 61_001
"""A user's number that nobody has."""


@dataclass
class Tally:
    """What became of the messages, over all crash points; `unmet`: the process did not get to that
    point."""

    points: int = 0
    unmet: int = 0
    lost: int = 0
    doubled: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, death: Death, met: bool, lost: int, doubled: int) -> None:
        self.points += met
        self.unmet += not met
        self.kinds[death.kind] += met
        self.lost += lost
        self.doubled += doubled


class Scene:
    """`number` makes the mailboxes its own; `root` must be empty."""

    def __init__(
        self,
        root: Path,
        dovecot: Dovecot,
        combination: Combination,
        number: int,
        *,
        mail: Path | None = None,
    ) -> None:
        """`mail`: the directory that the Maildirs are to be in."""
        self.combination = combination
        self._dovecot = dovecot
        self._user = f"crash-{number}"
        self._recipient = f"crashed-{number}@example.net"
        self.deployment = Deployment(root, dovecot)
        self.deployment.declare(
            "sales",
            self._user,
            protocol=combination.protocol,
            tls="none",
            to=self._recipient,
            mode=combination.mode,
        )
        if combination.target == "lmtp":
            self.deployment.write(
                "destination",
                "apiVersion: mailcollector/v1\nkind: Destination\n"
                "metadata: {name: local}\nspec: {default: true, lmtp: {host: "
                f"localhost, port: {dovecot.ports['lmtp']}}}}}\n",
            )
        if mail is not None:
            (root / "mail").symlink_to(mail)
        if combination.theirs:
            (root / "mail").mkdir(exist_ok=True)
            os.chown(root / "mail", OWNER, OWNER)
        dovecot.deliver(self._user, MAILS)

    @property
    def arguments(self) -> list[str]:
        return [
            "run",
            str(self.deployment.manifests),
            "--once",
            "--state-dir",
            str(self.deployment.state),
        ]

    def live(self, nursery: Nursery, death: Death | None = None) -> tuple[int, Counter[str]]:
        """One session; a crash is survived by what is on disk alone."""
        return nursery.live(self.arguments, self.deployment.root / "log", death)

    def revive(self, live: Callable[[], int]) -> None:
        """Start it again until the server holds what it should."""
        for _ in range(REVIVALS):
            code = live()
            if code == 0 and self._server_is_right():
                return
        raise AssertionError(
            f"the server is not as it should be, the last exit code is {code}: {self._left()}\n"
            f"{(self.deployment.root / 'log').read_text()}"
        )

    def read_everything(self) -> None:
        """A mail program shows what it finds, and moves it."""
        for path in self._maildir.glob("new/*"):
            path.rename(self._maildir / "cur" / f"{path.name}:2,S")

    def verdict(self) -> tuple[int, int]:
        """How many messages are lost, and how many delivered too often."""
        if self.combination.target == "maildir":
            found = Counter(
                path.read_bytes()
                for folder in ("new", "cur")
                for path in self._maildir.glob(f"{folder}/*")
            )
            assert found.keys() <= set(MAILS), "something else was delivered"
            if self.combination.theirs:
                assert {
                    path.lstat().st_uid
                    for path in (self.deployment.root / "mail").resolve().rglob("*")
                } == {OWNER}
        else:
            found = self._handed_over()
        lost, doubled = (
            sum(not found[mail] for mail in MAILS),
            sum(max(0, found[mail] - 1) for mail in MAILS),
        )
        if self.combination.target == "lmtp":
            assert doubled <= 1, "more was doubled than the message in flight"
        return lost, doubled

    def check_ledger(self) -> None:
        """Each message is recorded as collected, once."""
        with (
            closing(
                open_ledger(f"sqlite:///{self.deployment.state}/ledger.sqlite3", create=False)
            ) as ledger,
            ledger.reading() as connection,
        ):
            rows = connection.execute(select(messages.c.key, messages.c.state)).all()
        assert len({key for key, _ in rows}) == len(rows) == len(MAILS), rows
        assert {state for _, state in rows} == {MessageState.COLLECTED}, rows

    def _handed_over(self) -> Counter[bytes]:
        """By LMTP: headers on top, one of them ours; every copy of a message must have the same
        id."""
        found: Counter[bytes] = Counter()
        ids: dict[bytes, set[str]] = {}
        for stored in self._dovecot.messages(self._recipient):
            [original] = [mail for mail in MAILS if stored.endswith(mail.partition(b"\n")[2])]
            [own] = [
                line for line in stored.decode().splitlines() if line.startswith("X-Collector-Id: ")
            ]
            found[original] += 1
            ids.setdefault(original, set()).add(own)
        assert all(len(each) == 1 for each in ids.values()), ids
        assert len(set.union(set(), *ids.values())) == len(ids), ids
        return found

    def _server_is_right(self) -> bool:
        return self._left() == (len(MAILS) if self.combination.mode == "new-keep" else 0)

    def _left(self) -> int:
        return len(self._dovecot.messages(self._user))

    @property
    def _maildir(self) -> Path:
        return self.deployment.maildir(self._recipient.partition("@")[0])


def survive(
    scene: Scene,
    nursery: Nursery,
    death: Death,
    *,
    reader: bool = False,
    restored: Callable[[], None] = lambda: None,
) -> tuple[bool, int, int]:
    """Die, be `restored`, live again; whether it did die, and how many messages are lost and
    doubled."""
    status, _ = scene.live(nursery, death)
    restored()
    if reader:
        scene.read_everything()
    scene.revive(lambda: scene.live(nursery)[0])
    scene.check_ledger()
    lost, doubled = scene.verdict()
    return status == KILLED, lost, doubled
