"""The ledger's records about a collector as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from reconciler.model.outcomes import MessageState, SessionReport, Totals

KEPT = timedelta(days=30)
"""The time for which the history of a removed collector is kept."""


class DeclaredCollector(Struct, frozen=True):
    """A declared collector. `generation` counts the versions of its spec and `epoch` its histories,
    both from 1."""

    name: str
    generation: int
    epoch: int


class Declaring(Struct, frozen=True):
    """The request to declare a collector, with the digest and the mode of its spec."""

    name: str
    digest: str
    mode: str


class Retry(Struct, frozen=True):
    """The present back-off of a collector.

    - `reason`: the reason of the error.
    - `failures`: the number of failures in a row.
    - `digest`: the digest of the spec that failed.
    - `stamp`: the stamp of a secret that was refused or unreadable, or None.
    - `asked`: the seconds that the server asked us to wait, or None.
    """

    reason: str
    message: str
    failures: int
    next_attempt: datetime
    digest: str
    stamp: str | None = None
    asked: float | None = None


class CollectedCount(Struct, frozen=True):
    """What a session of a collector had collected when it ended."""

    name: str
    at: datetime
    collected: int


class History(Struct, frozen=True):
    """The records of a collector. `size` is the number of messages in the current epoch, `alerts`
    are the server's last ones."""

    declared: DeclaredCollector
    totals: Totals
    last_session: SessionReport | None
    retry: Retry | None
    size: int
    alerts: tuple[Alert, ...] = ()


class Alert(Struct, frozen=True):
    """A server's message to people, made safe to show. `at` is the time when it was first sent."""

    text: str
    at: datetime


class AccountState(Struct, frozen=True):
    """The state of an account after a session that found nothing to do (`collect.unchanged_check`).

    `source_state` is what the source compares (`Source.account_state`); `digest` is the digest of
    the spec; the counters are those of that session.
    """

    source_state: str
    digest: str
    at: datetime
    listed: int
    skipped: Mapping[str, int]
    parked: int


class ParkedMessage(Struct, frozen=True):
    """A parked message; `size` is in octets."""

    folder: str
    key: str
    size: int
    reason: str
    since: datetime


class FailedMessage(Struct, frozen=True):
    """A message whose fetch or delivery failed and is repeated.

    `at` is the time of the last attempt. `wait` are the seconds after it that the receiver asked us
    to wait.
    """

    folder: str
    key: str
    size: int
    state: MessageState
    attempts: int
    reason: str
    since: datetime
    at: datetime
    wait: float | None = None


class LastGood(Struct, frozen=True):
    """The last valid version of a manifest. `text` is its JSON, `base` the directory of its
    relative paths."""

    kind: str
    name: str
    file: str
    line: int
    base: str
    text: str
