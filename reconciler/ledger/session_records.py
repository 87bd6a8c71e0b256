"""Sessions: their reports, and the removal of old records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    RowMapping,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from reconciler.ledger.column_types import microseconds
from reconciler.ledger.tables import accounts, collectors, folders, messages, sessions
from reconciler.ledger.transactions import Transactions
from reconciler.model.history import KEPT, AccountState, Alert, CollectedCount
from reconciler.model.outcomes import Failure, Outcome, SessionReport

KEPT_SESSIONS = 100
"""Reports that are kept for each collector."""
_MICROSECOND = timedelta(microseconds=1)
_COUNTED = timedelta(days=1) // _MICROSECOND
"""The greatest part, in microseconds, of the time since the last `expire` that counts."""
_ACCOUNT_STATE = select(collectors.c.standing).where(collectors.c.name == bindparam("collector"))
_ALERTS = select(collectors.c.alerts).where(collectors.c.name == bindparam("collector"))
_AT_ONCE = 5000
"""Rows that are deleted in one transaction. Sessions may record between two of them."""


class SessionRecords(Transactions):
    """Implements the parts of `model.interfaces` about sessions and about old records."""

    def record_session(self, collector: str, report: SessionReport) -> None:
        """Record a session's report, and add it to the collector's totals, in one commit."""
        totals = collectors.c
        with self.writing_unsynced() as connection:
            found = connection.execute(
                update(collectors)
                .where(totals.name == collector)
                .values(
                    sessions=totals.sessions + 1,
                    collected=totals.collected + report.collected,
                    failed=totals.failed + report.failed,
                    deleted=totals.deleted + report.deleted,
                    bytes=totals.bytes + report.bytes,
                )
                .returning(totals.id, totals.sessions)
            ).one_or_none()
            if found is None:
                raise self.unknown(collector)
            connection.execute(
                insert(sessions).values(
                    collector_id=found.id, number=found.sessions, **_line(report)
                )
            )

    def sessions(self, name: str, limit: int = 20) -> Sequence[SessionReport]:
        """Return the last `limit` reports, newest first."""
        with self.reading() as connection:
            return [
                report(row)
                for row in connection.execute(
                    select(sessions)
                    .join(collectors, collectors.c.id == sessions.c.collector_id)
                    .where(collectors.c.name == name)
                    .order_by(sessions.c.number.desc())
                    .limit(limit)
                ).mappings()
            ]

    def collected_between(self, since: datetime, until: datetime) -> Sequence[CollectedCount]:
        """Return the messages that sessions collected which ended in this time. Sessions without
        mail are left out."""
        with self.reading() as connection:
            return [
                CollectedCount(row.name, row.finished_at, row.collected)
                for row in connection.execute(
                    select(collectors.c.name, sessions.c.finished_at, sessions.c.collected)
                    .join(collectors, collectors.c.id == sessions.c.collector_id)
                    .where(
                        sessions.c.finished_at >= since,
                        sessions.c.finished_at < until,
                        sessions.c.collected > 0,
                        collectors.c.retired_at.is_(None),
                    )
                )
            ]

    def alerts(self, collector: str) -> Sequence[Alert]:
        with self.reading() as connection:
            return kept_alerts(connection.execute(_ALERTS, {"collector": collector}).scalar())

    def keep_alerts(self, collector: str, alerts: Sequence[Alert]) -> None:
        kept = [{"text": alert.text, "at": alert.at.isoformat()} for alert in alerts]
        with self.writing_unsynced() as connection:
            connection.execute(
                update(collectors).where(collectors.c.name == collector).values(alerts=kept)
            )

    def account_state(self, collector: str) -> AccountState | None:
        with self.reading() as connection:
            kept: dict[str, Any] | None = connection.execute(
                _ACCOUNT_STATE, {"collector": collector}
            ).scalar()
        if kept is None:
            return None
        return AccountState(
            kept["state"],
            kept["digest"],
            datetime.fromisoformat(kept["at"]),
            kept["listed"],
            kept["skipped"],
            kept["parked"],
        )

    def keep_account_state(self, collector: str, epoch: int, state: AccountState) -> None:
        kept = {
            "state": state.source_state,
            "digest": state.digest,
            "at": state.at.isoformat(),
            "listed": state.listed,
            "skipped": dict(state.skipped),
            "parked": state.parked,
        }
        with self.writing_unsynced() as connection:
            connection.execute(
                update(collectors)
                .where(collectors.c.name == collector, collectors.c.epoch == epoch)
                .values(standing=kept)
            )

    def expire(self, now: datetime) -> None:
        """Delete old records: collectors retired for 30 days, earlier epochs, sessions beyond the
        last 100, and accounts without collectors.

        This takes many small transactions, and may be interrupted between them. Of the time since
        the last call a day counts at most. So a clock that jumps forward deletes no history (hazard
        R2).
        """
        with self.writing() as connection:
            since = microseconds(now) - type_coerce(collectors.c.retired_at, BigInteger)
            counted = case((since < 0, 0), (since > _COUNTED, _COUNTED), else_=since)
            connection.execute(
                update(collectors)
                .where(collectors.c.retired_at.is_not(None))
                .values(
                    retired_at=now, retired_for=func.coalesce(collectors.c.retired_for, 0) + counted
                )
            )
        retired = collectors.c.retired_at.is_not(None) & (
            collectors.c.retired_for >= KEPT // _MICROSECOND
        )
        forgotten = (
            select(folders.c.id)
            .join(collectors, collectors.c.id == folders.c.collector_id)
            .where(retired | (folders.c.epoch < collectors.c.epoch))
        )
        kept = (
            select(collectors.c.sessions)
            .where(collectors.c.id == sessions.c.collector_id)
            .scalar_subquery()
        )
        self._forget(messages, messages.c.folder_id.in_(forgotten))
        self._forget(folders, folders.c.id.in_(forgotten))
        self._forget(collectors, retired)
        self._forget(
            accounts, ~select(folders.c.id).where(folders.c.account_id == accounts.c.id).exists()
        )
        with self.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.number <= kept - KEPT_SESSIONS))

    def _forget(self, table: Table, which: ColumnElement[bool]) -> None:
        some = select(table.c.id).where(which).limit(_AT_ONCE)
        while True:
            with self.writing() as connection:
                gone = connection.execute(delete(table).where(table.c.id.in_(some))).rowcount
            if gone < _AT_ONCE:
                return


def kept_alerts(kept: Sequence[Mapping[str, str]] | None) -> tuple[Alert, ...]:
    """Return the alerts in a value of the column `alerts`."""
    return tuple(Alert(one["text"], datetime.fromisoformat(one["at"])) for one in kept or ())


def report(row: Mapping[str, Any] | RowMapping) -> SessionReport:
    """Return the report in a row of the table `sessions`."""
    error = row["error"] and Failure(
        row["error"]["reason"],
        row["error"]["message"],
        row["error"]["retry_after"],
        row["error"].get("advice", ""),  # missing in rows of earlier versions
    )
    return SessionReport(
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        outcome=Outcome(row["outcome"]),
        listed=row["listed"],
        collected=row["collected"],
        skipped_reasons=row["skipped_reasons"],
        parked=row["parked"],
        failed=row["failed"],
        left=row["left"],
        deleted=row["deleted"],
        bytes=row["bytes"],
        error=error,
        notes=tuple(row["notes"]),
    )


def _line(report: SessionReport) -> dict[str, Any]:
    error = report.error and {
        "reason": report.error.reason,
        "message": report.error.message,
        "retry_after": report.error.retry_after,
        "advice": report.error.advice,
    }
    return {
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "outcome": report.outcome.value,
        "listed": report.listed,
        "collected": report.collected,
        "skipped_reasons": dict(report.skipped_reasons),
        "parked": report.parked,
        "failed": report.failed,
        "left": report.left,
        "deleted": report.deleted,
        "bytes": report.bytes,
        "error": error,
        "notes": list(report.notes),
    }
