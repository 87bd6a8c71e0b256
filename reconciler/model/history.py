"""What the ledger remembers of a collector as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from reconciler.model.outcomes import MessageState, SessionReport, Totals

KEPT = timedelta(days=30)
"""How long the history of a removed collector is kept."""


class DeclaredCollector(Struct, frozen=True):
    """`generation` counts the changes of the spec, from 1; `epoch` the histories, from 1."""

    name: str
    generation: int
    epoch: int


class Declaring(Struct, frozen=True):
    """A collector that is declared with this spec: its digest, and its mode."""

    name: str
    digest: str
    mode: str


class Retry(Struct, frozen=True):
    """A back-off in force. `reason` is the error class's; `failures` in a row; `digest` of the spec
    that failed; `stamp` of the secret that was refused or could not be read, None where it is not
    the secret's fault; `asked`: seconds that the server named."""

    reason: str
    message: str
    failures: int
    next_attempt: datetime
    digest: str
    stamp: str | None = None
    asked: float | None = None


class History(Struct, frozen=True):
    """`size`: messages that are remembered in the current epoch; `alerts`: what the server told
    people last."""

    declared: DeclaredCollector
    totals: Totals
    last_session: SessionReport | None
    retry: Retry | None
    size: int
    alerts: tuple[Alert, ...] = ()


class Alert(Struct, frozen=True):
    """What a server wants people to be told, fit to be shown; `at`: when it said so first."""

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
    """One that did not come, or could not be delivered, and is tried again. `at`: the last time;
    `wait`: seconds from then that the receiver asked for."""

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
    """A manifest as it was when it last was valid. `text` is its JSON, `base` the directory
    relative paths start at."""

    kind: str
    name: str
    file: str
    line: int
    base: str
    text: str
