"""A daemon for tests of the API: the real control socket, and sessions that a script ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from reconciler.collect.backoff import next_backoff
from reconciler.control.admission import Admission
from reconciler.control.check_requests import CheckRequests
from reconciler.control.control_service import ControlService
from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import provider_limits
from reconciler.control.observation import ManifestDirectory
from reconciler.control.running_set import RunningSet
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.control.status_board import StatusBoard
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport, CheckStep
from reconciler.planning.desired_state import DesiredCollector
from reconciler.web.http_server import served
from tests.control.doubles import MemoryRegistry
from tests.short_paths import short_path

GENEROUS = 20.0
NOW = Clock().now


@dataclass
class Script:
    """What sessions do: tell their progress, wait until they may end, end like this."""

    failure: Failure | None = None
    token_expires_at: datetime | None = None
    may_end: threading.Event = field(default_factory=threading.Event)

    def run(self, _collector: DesiredCollector, control: SessionControl) -> SessionReport:
        so_far = SessionReport(NOW(), NOW(), Outcome.RUNNING, listed=9, collected=4, left=5)
        control.on_give_up(self.may_end.set)
        control.progress(so_far)
        assert self.may_end.wait(GENEROUS)
        if self.failure:
            return replace(so_far, outcome=Outcome.FAILED, error=self.failure)
        return replace(
            so_far,
            outcome=Outcome.SUCCEEDED,
            collected=9,
            left=0,
            token_expires_at=self.token_expires_at,
        )


def check(collector: DesiredCollector, _control: SessionControl) -> CheckReport:
    return CheckReport(
        name=collector.name, ok=True, steps=(CheckStep(step="connect", ok=True, message="fine"),)
    )


@dataclass
class Daemon:
    client: httpx.AsyncClient
    control: ControlService
    controller: Controller
    script: Script
    registry: MemoryRegistry
    settings: Settings
    root: Path

    def file(self, name: str) -> Path:
        return self.root / f"{name}.yaml"

    async def get(self, path: str) -> Any:
        return (await self.client.get(path)).raise_for_status().json()


@asynccontextmanager
async def daemon(
    root: Path, settings: Settings, *, allow_inline_secrets: bool = False
) -> AsyncIterator[Daemon]:
    script, registry, clock, board = Script(), MemoryRegistry(), Clock(), StatusBoard(Clock())
    pool = SessionPool(script.run, next_backoff, registry, 4, clock.now)
    admission = Admission(4, provider_limits)
    loops = RunningSet(pool, admission, clock, board)
    directory = ManifestDirectory(root, allow_inline_secrets=allow_inline_secrets)
    controller = Controller(directory, registry, loops, board, clock)
    board.connect(loops.state, controller.loop_ended)
    control = ControlService(
        controller, loops, board, registry, CheckRequests(check, admission), clock
    )
    async with served(control, settings, root):
        with short_path(settings.control_socket) as path:
            transport = httpx.AsyncHTTPTransport(uds=path)
            client = httpx.AsyncClient(
                transport=transport, base_url="http://daemon", timeout=GENEROUS
            )
            async with client:
                yield Daemon(client, control, controller, script, registry, settings, root)
        script.may_end.set()
        await loops.shut_down(GENEROUS, GENEROUS)
        pool.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)
