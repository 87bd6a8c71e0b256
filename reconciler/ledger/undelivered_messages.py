"""Messages that were not collected: parked ones, and those whose last attempt failed. And those
that were collected, and are kept on the server because they are doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, null, select, update

from reconciler.ledger.tables import NOTABLE, collectors, folders, messages
from reconciler.ledger.transactions import Transactions
from reconciler.model.history import FailedMessage, ParkedMessage
from reconciler.model.outcomes import MessageState

_PARKED = (MessageState.PARKED, MessageState.PAUSED)
_COLLECTED = (MessageState.COLLECTED, MessageState.PRESUMED)
_FAILING = (MessageState.FAILED, MessageState.UNFETCHED, MessageState.SUSPECT)


class UndeliveredMessages(Transactions):
    """Implements the parts of `model.interfaces.Registry` about messages that people should know
    of."""

    def parked(self, name: str, limit: int = 1000) -> Sequence[ParkedMessage]:
        """Return the parked messages that are still on the server, oldest first."""
        columns = select(
            folders.c.name.label("folder"),
            messages.c.key,
            messages.c.size,
            messages.c.reason,
            messages.c.first_at.label("since"),
        )
        found = (
            _on_server(columns, name, _PARKED)
            .order_by(messages.c.first_at, messages.c.id)
            .limit(limit)
        )
        with self.reading() as connection:
            return [ParkedMessage(**row) for row in connection.execute(found).mappings()]

    def failing(self, name: str, limit: int = 1000) -> Sequence[FailedMessage]:
        """Return the failed messages that are still on the server and have a reason, oldest
        first."""
        columns = select(
            folders.c.name.label("folder"),
            messages.c.key,
            messages.c.size,
            messages.c.state,
            messages.c.attempts,
            messages.c.reason,
            messages.c.first_at.label("since"),
            messages.c.last_at.label("at"),
            messages.c.wait,
        )
        found = (
            _on_server(columns, name, _FAILING)
            .where(messages.c.reason != "")
            .order_by(messages.c.first_at, messages.c.id)
            .limit(limit)
        )
        with self.reading() as connection:
            return [FailedMessage(**row) for row in connection.execute(found).mappings()]

    def kept_back(self, name: str) -> int:
        """Return how many messages were collected and have a reason why they are not deleted."""
        found = _on_server(select(func.count()), name, _COLLECTED).where(messages.c.reason != "")
        with self.reading() as connection:
            return int(connection.execute(found).scalar_one())

    def unpark(self, name: str) -> int:
        """Make parked messages failed ones without an attempt, so that the next session tries them.
        Return how many."""
        where = select(folders.c.id).join(collectors, _current()).where(collectors.c.name == name)
        with self.writing() as connection:
            connection.execute(
                update(collectors).where(collectors.c.name == name).values(standing=null())
            )
            return connection.execute(
                update(messages)
                .values(state=MessageState.FAILED, attempts=0, wait=null())
                .where(
                    messages.c.folder_id.in_(where),
                    NOTABLE,
                    messages.c.state.in_(_PARKED) | messages.c.wait.is_not(None),
                )
            ).rowcount


def _on_server(columns: Select[Any], name: str, states: Sequence[MessageState]) -> Select[Any]:
    """Return what selects these columns of a collector's messages in `states`, as far as they are
    still on the server."""
    return (
        columns.select_from(messages)
        .join(folders, folders.c.id == messages.c.folder_id)
        .join(collectors, _current())
        .where(
            collectors.c.name == name,
            NOTABLE,
            messages.c.state.in_(states),
            messages.c.deleted_at.is_(None),
        )
    )


def _current() -> Any:
    """Return the condition that joins a folder of the current epoch to its collector."""
    return (collectors.c.id == folders.c.collector_id) & (collectors.c.epoch == folders.c.epoch)
