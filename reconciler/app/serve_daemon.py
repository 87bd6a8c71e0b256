"""The daemon, composed."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from reconciler.app.account_checks import AccountChecks
from reconciler.app.session_assembly import (
    SessionRunner,
    Tokens,
    limits_of,
    open_push,
    secret_stamp,
)
from reconciler.collect import backoff
from reconciler.control.control_service import ControlService
from reconciler.control.daemon import Parts, run_daemon
from reconciler.ledger import SqlLedger
from reconciler.manifests import parallel_parsing
from reconciler.model.settings import Settings
from reconciler.web.http_server import served


def serve(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> int:
    """Until it is told to stop; the exit code."""
    parallel_parsing.program()  # as it is now: later it may be another one than runs here
    gc.set_threshold(50_000)  # what waits to be looked through takes memory
    _raise_file_limit()
    with Tokens() as tokens:
        return asyncio.run(
            run_daemon(directory, _parts(settings, directory, ledger, allow_empty, tokens))
        )


def _raise_file_limit() -> None:
    """Each connection that waits for mail is an open file; the limit for most programs is 1024
    (hazard R1)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _parts(
    settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool, tokens: Tokens
) -> Parts:
    @asynccontextmanager
    async def web(control: ControlService) -> AsyncIterator[None]:
        async with served(control, settings, directory):
            yield

    return Parts(
        ledger,
        SessionRunner(settings, ledger, tokens).run,
        backoff.decide,
        AccountChecks(settings, ledger, tokens).run,
        web,
        settings.max_sessions,
        limits_of(settings),
        lambda collector: open_push(collector, tokens, settings),
        settings.allow_inline_secrets,
        allow_empty,
        secret_stamp,
    )
