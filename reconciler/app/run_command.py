"""`run`: the daemon, or one session of every collector."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.app.adapters import own_ledger, utc_now
from reconciler.app.open_files import raise_file_limit
from reconciler.app.process_setup import return_large_blocks
from reconciler.app.session_assembly import kept_pause, one_session_each
from reconciler.control.decision_recorder import decide_once
from reconciler.control.observation import ManifestDirectory
from reconciler.control.state_ownership import owned
from reconciler.ledger import SqlLedger
from reconciler.log import log
from reconciler.manifests.directory_walk import DirectoryVanished, list_files
from reconciler.manifests.manifest_files import displayed
from reconciler.model.errors import ManifestsMissing
from reconciler.model.manifest_policy import allowed
from reconciler.model.outcomes import Outcome
from reconciler.model.settings import Settings
from reconciler.wire.listing_budget import LISTINGS

_LEVELS = {"error": 40, "warning": 30, "info": 20}


def run(settings: Settings, directory: Path, once: bool, allow_empty: bool = False) -> int:
    """Run the daemon, or with `once` one session of every enabled collector; return the exit code.

    `allow_empty`: a directory without any collector at the start is accepted. Raises CollectorError
    when it cannot start: another process owns the state, the ledger cannot be opened, or there is
    no such directory.
    """
    return_large_blocks()
    raise_file_limit()
    if not allowed().file:
        log.info(
            "no policy: the authors of manifests act as this user",
            user=os.geteuid(),
            see="--policy FILE",
        )
    if displayed(directory.absolute()) != str(directory.absolute()):
        raise ManifestsMissing(
            f"{displayed(directory)}: the name of the manifests' directory is not UTF-8: rename it"
        )
    try:
        list_files(directory)
    except DirectoryVanished as error:
        raise ManifestsMissing(str(error)) from error
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        if once:
            LISTINGS.take_time()
            return _run_once(settings, directory, ledger, allow_empty)
        # with --once there is no watcher and no web server
        from reconciler.app.serve_daemon import serve  # noqa: PLC0415

        return serve(settings, directory, ledger, allow_empty)


def _run_once(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> int:
    """Run one session of every enabled collector; return the exit code.

    It is 1 if a session or a message failed, or a manifest is invalid. While the service is paused
    there are no sessions.
    """
    manifests = ManifestDirectory(
        directory, allow_inline_secrets=settings.allow_inline_secrets, allow_empty=allow_empty
    )
    decision, histories = decide_once(ledger, manifests, utc_now())
    for diagnostic in decision.observation.diagnostics:
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
    pause = kept_pause(settings)
    if pause is not None:
        log.warning("paused: no session is run", **pause.as_json())
        enabled = []
    with one_session_each(settings, ledger, asked=False) as once:
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
    invalid = any(diagnostic.severity == "error" for diagnostic in decision.observation.diagnostics)
    return 1 if failed or invalid else 0
