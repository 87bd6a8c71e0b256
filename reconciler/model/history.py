"""What the ledger remembers of a collector as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from reconciler.model.outcomes import MessageState, SessionReport, Totals

KEPT = timedelta(days=30)
"""How long the history of a removed collector is kept."""


class DeclaredCollector(Struct, frozen=True):
    """A collector as it is declared. `generation` counts the changes of its spec, from 1; `epoch`
    counts its histories, from 1."""

    name: str
    generation: int
    epoch: int


class Declaring(Struct, frozen=True):
    """A collector that is to be declared, with the digest and the mode of its spec."""

    name: str
    digest: str
    mode: str


class Retry(Struct, frozen=True):
    """A back-off in force.

    `reason` is the error class's; `failures` counts those in a row; `digest` is the failed spec's;
    `stamp` is that of a secret that was refused or could not be read, else None; `asked` is the
    wait that the server asked for, in seconds.
    """

    reason: str
    message: str
    failures: int
    next_attempt: datetime
    digest: str
    stamp: str | None = None
    asked: float | None = None


class History(Struct, frozen=True):
    """What is known of a collector. `size`: messages remembered in the current epoch; `alerts`: the
    server's last alerts."""

    declared: DeclaredCollector
    totals: Totals
    last_session: SessionReport | None
    retry: Retry | None
    size: int
    alerts: tuple[Alert, ...] = ()


class Alert(Struct, frozen=True):
    """A text that a server wants to be shown to people; safe to show. `at`: when it was first
    sent."""

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
    folder: str
    key: str
    size: int
    reason: str
    since: datetime


class FailedMessage(Struct, frozen=True):
    """A message that did not come, or could not be delivered, and is tried again. `at`: the last
    attempt; `wait`: seconds from then that the receiver asked for."""

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
    """A manifest as it last was valid. `text` is its JSON, `base` the directory that relative paths
    begin at."""

    kind: str
    name: str
    file: str
    line: int
    base: str
    text: str
