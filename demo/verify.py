"""The check after one session of each collector: all mail arrived, and the server's mailboxes agree
with the modes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from demo.scene import ACCOUNTS, Account, Scene, Server, sent
from reconciler.model.status import ShownCollector


def complaints(scene: Scene, server: Server, shown: Sequence[ShownCollector]) -> list[str]:
    """Return sentences about everything that is wrong."""
    reports = {collector.metadata.name: collector for collector in shown}
    found = [
        f"{name}: not shown" for name in {account.name for account in ACCOUNTS} ^ reports.keys()
    ]
    for account in ACCOUNTS:
        found += _delivered(scene, account)
        found += _on_server(server, account)
        if account.name in reports:
            found += _reported(account, reports[account.name])
    return found


def _delivered(scene: Scene, account: Account) -> Iterator[str]:
    given = Counter(message for _, messages in sent(account) for message in messages)
    arrived = scene.delivered(account)
    if missing := (given - arrived).total():
        yield (
            f"{account.name}: {missing} of {given.total()} messages did not arrive as they "
            "were sent"
        )
    if surplus := (arrived - given).total():
        yield (
            f"{account.name}: {surplus} files in {scene.maildir(account)} that were not sent, "
            "or twice"
        )


def _on_server(server: Server, account: Account) -> Iterator[str]:
    for folder, count in account.folders.items():
        left, wanted = (
            len(server.messages(account.username, folder)),
            0 if account.emptied else count,
        )
        if left != wanted:
            yield f"{account.name}: {left} messages on the server in {folder}, not {wanted}"


def _reported(account: Account, shown: ShownCollector) -> Iterator[str]:
    session = shown.status.last_session
    if session is None:
        yield f"{account.name}: ran no session"
        return
    if session.error is not None:
        yield f"{account.name}: {session.error.reason}: {session.error.message}"
    if session.collected != account.total:
        yield f"{account.name}: says that it collected {session.collected}, not {account.total}"
    if (
        session.listed
        != session.collected + session.skipped + session.parked + session.failed + session.left
    ):
        yield f"{account.name}: its counters do not add up: {session}"
