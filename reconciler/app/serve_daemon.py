"""Compose the daemon of its parts and run it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from reconciler.app.account_checks import AccountChecks
from reconciler.app.login_secrets import LoginSecrets, secret_stamp
from reconciler.app.mailbox_owners import MailboxOwners
from reconciler.app.parked_routing import ParkedRouting
from reconciler.app.push_assembly import PushConnections
from reconciler.app.session_assembly import SessionRunner, limits_of, open_dialogue_store
from reconciler.collect import backoff
from reconciler.control.control_service import ControlService
from reconciler.control.daemon import Parts, run_daemon
from reconciler.control.service_pause import FILE as PAUSE_FILE
from reconciler.ledger import SqlLedger
from reconciler.manifests import parallel_parsing
from reconciler.model.settings import Settings
from reconciler.web.http_server import served


def serve(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    parallel_parsing.program_digest()  # as it is now: later it may be another one than runs here
    gc.set_threshold(5_000, 5, 200)  # each search for cycles is short: nothing goes on meanwhile
    with LoginSecrets() as tokens:
        return asyncio.run(
            run_daemon(directory, _parts(settings, directory, ledger, allow_empty, tokens))
        )


def _parts(
    settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool, tokens: LoginSecrets
) -> Parts:
    @asynccontextmanager
    async def web(control: ControlService) -> AsyncIterator[None]:
        async with served(control, settings, directory):
            yield

    dialogues = open_dialogue_store(settings, ends=False)
    dialogues.forget_old()
    return Parts(
        ledger,
        SessionRunner(settings, ledger, tokens, dialogues).run,
        backoff.next_backoff,
        AccountChecks(settings, ledger, tokens, dialogues).run,
        web,
        settings.max_sessions,
        limits_of(settings),
        PushConnections(settings, tokens, dialogues).open,
        settings.allow_inline_secrets,
        allow_empty,
        secret_stamp,
        settings.state_dir / PAUSE_FILE,
        settings.git_commit,
        MailboxOwners(settings),
        ParkedRouting(settings, ledger, tokens).explain,
        dialogues.dialogues,
    )
