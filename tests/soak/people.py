"""What people do meanwhile: a mail program reads and moves what was delivered, an author edits
manifests."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.soak.mail import Account

DESTINATIONS = """\
apiVersion: mailcollector/v1
kind: Destination
metadata: {{name: maildir}}
spec: {{default: true, maildir: {{path: "{mail}/{{domain}}/{{local}}"}}}}
---
apiVersion: mailcollector/v1
kind: Destination
metadata: {{name: lmtp}}
spec: {{lmtp: {{host: 127.0.0.1, port: {port}}}}}
"""


class Reader:
    """Moves what it finds in `new` to `cur`, in every second Maildir, as mail programs do when they
    show it."""

    def __init__(self, maildirs: Sequence[Path]) -> None:
        self._maildirs = maildirs

    def turn(self) -> None:
        for maildir in self._maildirs:
            with suppress(OSError):
                for path in (maildir / "new").iterdir():
                    path.rename(maildir / "cur" / f"{path.name}:2,S")


class Author:
    """Writes a manifest for each account, and changes them all the time; the last state is as the
    first."""

    def __init__(
        self,
        directory: Path,
        accounts: Sequence[Account],
        chance: random.Random,
        text: Callable[[Account, str, str, int, bool], str],
    ) -> None:
        """`text` of a manifest: account, name, title, limit, enabled."""
        self._directory, self._accounts, self._chance, self._text = (
            directory,
            accounts,
            chance,
            text,
        )
        self.edits: Counter[str] = Counter()

    def declare(self) -> None:
        for account in self._accounts:
            self._write(account)

    def turn(self, pause: Callable[[float], None]) -> None:
        account = self._chance.choice(self._accounts)
        edit = self._chance.choice(
            (
                self._comment,
                self._limit,
                self._break,
                self._disable,
                self._remove,
                self._move,
                self._rename,
                self._vanish,
            )
        )
        self.edits[edit.__name__.strip("_")] += 1
        edit(account, lambda: pause(self._chance.uniform(0.1, 4)))
        self._write(account)

    def _write(
        self,
        account: Account,
        *,
        name: str = "",
        title: str = "Storm",
        limit: int = 100,
        enabled: bool = True,
    ) -> None:
        self._put(account, self._text(account, name or account.name, title, limit, enabled))

    def _put(self, account: Account, text: str) -> None:
        draft = self._directory / f".{account.name}.draft"
        draft.write_text(text)
        draft.replace(self._path(account))

    def _path(self, account: Account) -> Path:
        return self._directory / f"{account.name}.yaml"

    def _comment(self, account: Account, wait: Callable[[], None]) -> None:
        path = self._path(account)
        self._put(account, f"# edited\n{path.read_text()}")
        wait()

    def _limit(self, account: Account, wait: Callable[[], None]) -> None:
        self._write(account, title="changed", limit=self._chance.choice((1, 10, 0)))
        wait()

    def _break(self, account: Account, wait: Callable[[], None]) -> None:
        self._put(account, self._chance.choice(("spec: [", "\t", "kind: Nothing\n", "")))
        wait()

    def _disable(self, account: Account, wait: Callable[[], None]) -> None:
        self._write(account, enabled=False)
        wait()

    def _remove(self, account: Account, wait: Callable[[], None]) -> None:
        self._path(account).unlink()
        wait()

    def _move(self, account: Account, wait: Callable[[], None]) -> None:
        below = self._directory / "below"
        below.mkdir(exist_ok=True)
        path = self._path(account)
        path.rename(below / path.name)
        wait()
        (below / path.name).rename(path)

    def _rename(self, account: Account, wait: Callable[[], None]) -> None:
        self._write(account, name=f"{account.name}-renamed")
        wait()

    def _vanish(self, account: Account, wait: Callable[[], None]) -> None:
        away = self._directory.with_name("away")
        self._directory.rename(away)
        wait()
        away.rename(self._directory)


@contextmanager
def again_and_again(turn: Callable[[], None], over: threading.Event, name: str) -> Iterator[None]:
    """`turn` in a thread of its own until `over`; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def loop() -> None:
        try:
            while not over.is_set():
                turn()
        except BaseException as error:  # noqa: BLE001  # raised below
            failures.append(error)

    thread = threading.Thread(target=loop, name=name)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    for failure in failures:
        raise failure
