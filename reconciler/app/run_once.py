"""`run --once`: a session of every enabled collector."""

from __future__ import annotations

from pathlib import Path

from reconciler.app.session_assembly import one_each, utc_now
from reconciler.control.decision_recorder import decide_once
from reconciler.control.observation import Directory
from reconciler.ledger import SqlLedger
from reconciler.log import log
from reconciler.model.outcomes import Outcome
from reconciler.model.settings import Settings

_LEVELS = {"error": 40, "warning": 30, "info": 20}


def run_once(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> int:
    """The exit code: 1 where a session or a message failed, or a manifest is invalid."""
    manifests = Directory(
        directory, allow_inline_secrets=settings.allow_inline_secrets, allow_empty=allow_empty
    )
    decision, histories = decide_once(ledger, manifests, utc_now())
    for diagnostic in decision.look.diagnostics:
        log.log(
            _LEVELS[diagnostic.severity],
            diagnostic.message,
            file=diagnostic.file,
            line=diagnostic.line,
            column=diagnostic.column,
            path=diagnostic.path,
            rule=diagnostic.rule,
        )
    enabled = [
        name for name, found in decision.desired.collectors.items() if found.effective.enabled
    ]
    with one_each(settings, ledger, asked=False) as once:
        reports = once.run(decision, histories, enabled, force=False, on_progress=lambda *_: None)
    failed = {
        name: report
        for name, report in reports.items()
        if report.outcome is not Outcome.SUCCEEDED or report.failed
    }
    for name, report in failed.items():
        log.error(
            "collector failed",
            collector=name,
            reason=report.error.reason if report.error else "MessagesFailed",
            error=report.error.message if report.error else f"{report.failed} messages failed",
        )
    invalid = any(diagnostic.severity == "error" for diagnostic in decision.look.diagnostics)
    return 1 if failed or invalid else 0
