"""A session to run, and how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, field

from reconciler.collect.backoff import LOGIN_REFUSED
from reconciler.control.session_control import SessionControl
from reconciler.model.errors import AuthenticationFailed, SecretUnavailable
from reconciler.model.history import Retry
from reconciler.model.interfaces import Push, PushFactory
from reconciler.model.outcomes import SessionReport
from reconciler.planning.desired_state import DesiredCollector

SecretStamp = Callable[[DesiredCollector], str]
"""Returns a string that changes with the files of the collector's secrets."""
SECRET_REASONS = {AuthenticationFailed.reason, LOGIN_REFUSED, SecretUnavailable.reason}
"""Reasons of a back-off that ends when the secret changes."""


def unstamped(_: DesiredCollector) -> str:
    """Return the stamp of secrets whose changes nobody can see."""
    return ""


def is_secret_changed(retry: Retry, collector: DesiredCollector, stamp: SecretStamp) -> bool:
    """Return whether the secret that the back-off is for has changed since."""
    return retry.stamp is not None and retry.stamp != stamp(collector)


class SessionRequest(Struct, frozen=True):
    """A session to run.

    `retry` is the back-off as it is kept, of this spec or of an older one. `unpark`: the spec is
    new, so parked messages are tried again. `judge` corrects the report by the results of other
    collectors of the same host. `open_push` opens the connection on which the server is to tell of
    new mail; None where it is not to.
    """

    collector: DesiredCollector
    retry: Retry | None = None
    unpark: bool = False
    control: SessionControl = field(default_factory=SessionControl)
    judge: Callable[[SessionReport], SessionReport] = lambda report: report
    open_push: PushFactory | None = None


class SessionResult(Struct, frozen=True):
    """The result of a session, and the back-off that follows. `push`: the connection that was asked
    for; None where it could not be opened."""

    report: SessionReport
    retry: Retry | None
    push: Push | None = None


class RunsSessions(Protocol):
    """Runs sessions; never raises."""

    async def run(self, work: SessionRequest) -> SessionResult: ...
