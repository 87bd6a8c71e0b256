"""Column types: compact forms of our values, the same in every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, LargeBinary, SmallInteger, TypeDecorator

from reconciler.model.outcomes import MessageState

# SQLAlchemy passes a dialect, which these types do not need.
# ruff: noqa: ARG002

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CODES = {
    MessageState.COLLECTED: 0,
    MessageState.FAILED: 1,
    MessageState.PARKED: 2,
    MessageState.BEGUN: 3,
    MessageState.PRESUMED: 4,
    MessageState.LISTED: 5,
    MessageState.SUSPECT: 6,
    MessageState.UNFETCHED: 7,
    MessageState.PAUSED: 8,
}
COUNTED = frozenset({MessageState.FAILED, MessageState.UNFETCHED, MessageState.PAUSED})
"""States that count as an attempt when they are recorded."""
STATES = tuple(sorted(_CODES, key=lambda state: _CODES[state]))
"""All states, in the order of their codes."""


def microseconds(moment: datetime) -> int:
    """Return a time as `Moment` stores it: microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def code(state: MessageState) -> int:
    """Return a state as `State` stores it."""
    return _CODES[state]


def octets(digest: str) -> bytes:
    """Return a digest in hex as `Digest` stores it."""
    return bytes.fromhex(digest)


class Moment(TypeDecorator[datetime]):
    """A time, stored as microseconds since 1970 (UTC)."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


class Digest(TypeDecorator[str]):
    """A SHA-256: hex in the program, 32 octets in the database."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else octets(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).hex()


class State(TypeDecorator[MessageState]):
    """A message's state, stored as a small number."""

    impl = SmallInteger
    cache_ok = True

    def process_bind_param(self, value: MessageState | None, dialect: Dialect) -> int | None:
        return None if value is None else code(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> MessageState | None:
        return None if value is None else STATES[value]
