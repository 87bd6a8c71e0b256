"""Log lines of a session: how it went, what follows, and where a defect was."""

from __future__ import annotations

import traceback

from reconciler.control.session_request import SECRET_REASONS
from reconciler.log import log
from reconciler.model.errors import AccountNotReady
from reconciler.model.history import Retry
from reconciler.model.outcomes import SessionReport
from reconciler.model.timestamps import timestamp


def log_session(name: str, report: SessionReport) -> None:
    """Log one line for each session."""
    facts: dict[str, object] = {
        "collector": name,
        "outcome": report.outcome.value,
        "listed": report.listed,
        "collected": report.collected,
        "skipped": report.skipped,
        "parked": report.parked,
        "failed": report.failed,
        "left": report.left,
        "deleted": report.deleted,
        "bytes": report.bytes,
        "seconds": round((report.finished_at - report.started_at).total_seconds(), 3),
    }
    if report.notes:
        facts["notes"] = list(report.notes)
    if report.error is None:
        log.info("session", **facts)
    else:
        log.warning("session", **facts, reason=report.error.reason, error=report.error.message)


def log_retry(name: str, before: Retry | None, now: Retry | None) -> None:
    """Log what follows for the next session: a back-off that begins, or one that is over."""
    if now is None:
        if before is not None:
            log.info("recovered", collector=name, after=before.failures, reason=before.reason)
        return
    facts = {
        "collector": name,
        "reason": now.reason,
        "failures": now.failures,
        "until": timestamp(now.next_attempt),
    }
    if now.reason in SECRET_REASONS | {AccountNotReady.reason}:
        log.warning("stalled", **facts, sooner="when the manifest or the secret changes")
    else:
        log.debug("backing off", **facts)


def code_places(error: Exception) -> list[str]:
    """Return the places that a defect went through, innermost last. Neither its text nor a source
    line is among them: they may quote a password."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
