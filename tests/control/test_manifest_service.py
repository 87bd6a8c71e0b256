"""Changes of manifests, over a real directory and a control loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.collect.backoff import decide
from reconciler.control.admission import Admission
from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import preset
from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeleteManifest,
    ManifestOutdated,
    ReplaceManifest,
    SwitchManifest,
)
from reconciler.control.manifest_service import ManifestService
from reconciler.control.observation import ManifestDirectory
from reconciler.control.running_set import RunningSet
from reconciler.control.session_pool import SessionControl, SessionPool
from reconciler.control.status_board import StatusBoard
from reconciler.manifests.editing.manifest_editor import AlreadyDeclared, EditRefused, NotDeclared
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.planning.desired_state import DesiredCollector
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import save, text

SALES = """\
# the shop's mailbox
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  source:   # at the provider
    host: 'imap.example'
    protocol: imap
    username: u
    password: {env: P}
  collect: {interval: 5m}  # as agreed
  recipient: {forwardTo: sales@local.example}
"""


@dataclass
class Here:
    root: Path
    controller: Controller
    loops: RunningSet
    manifests: ManifestService
    registry: MemoryRegistry

    def files(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("*.yaml"))


def session(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
    now = Clock().now()
    return SessionReport(now, now, Outcome.SUCCEEDED)


@asynccontextmanager
async def service(root: Path, *, git_commit: bool = False) -> AsyncIterator[Here]:
    registry, clock, board = MemoryRegistry(), Clock(), StatusBoard(Clock())
    pool = SessionPool(session, decide, registry, 4, clock.now)
    loops = RunningSet(pool, Admission(4, preset), clock, board)
    controller = Controller(ManifestDirectory(root), registry, loops, board, clock)
    board.connect(loops.state, controller.ended)
    found = ManifestService(controller, loops, registry, clock, git_commit=git_commit)
    await controller.turn()
    yield Here(root, controller, loops, found, registry)
    await loops.shut_down(5, 5)
    pool.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    save(root, "sales", SALES)
    save(root, "off", text("off", enabled="false"))
    return root


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_of_data_only_the_differences_are_written(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            before = await here.manifests.declared("sales")
            assert before.text == SALES
            data: Any = dict(before.data)
            data["spec"] = {
                **data["spec"],
                "title": "Shop",
                "collect": {"interval": "7m"},
                "source": {**data["spec"]["source"], "host": "mx.example"},
            }
            asked = ReplaceManifest("sales", data)
            proposed = await here.manifests.propose(asked, {before.etag})
            assert (root / "sales.yaml").read_text() == SALES
            assert proposed.writable
            assert proposed.plan["counts"] == {"Replace": 1}
            (step,) = proposed.plan["steps"]
            assert step["consequences"][0].startswith("another account: ")
            assert "-    host: 'imap.example'\n+    host: 'mx.example'\n" in proposed.draft.diff
            await here.manifests.apply(asked, "ann", {before.etag})
            after = SALES.replace("imap.example", "mx.example").replace("5m", "7m")
            assert (root / "sales.yaml").read_text() == after + "  title: Shop\n"
            running = here.loops.actual()["sales"].effective
            assert (running.source.host, running.title) == ("mx.example", "Shop")
            with pytest.raises(ManifestOutdated):
                await here.manifests.apply(asked, "ben", {before.etag})

    run(scenario())


def test_create_switch_and_delete(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            data = {
                "kind": "MailCollector",
                "apiVersion": "mailcollector/v1",
                "metadata": {"name": "new"},
                "spec": {
                    "title": None,
                    "source": {
                        "protocol": "imap",
                        "host": "imap.example",
                        "username": "v",
                        "password": {"env": "P"},
                    },
                    "recipient": {"forwardTo": "a@b.example"},
                },
            }
            asked = CreateManifest(data)
            proposed = await here.manifests.propose(asked)
            assert proposed.plan["counts"] == {"Start": 1}
            assert "+++ b/new.yaml\n" in proposed.draft.diff
            await here.manifests.apply(asked, "ann")
            assert "new" in here.loops
            with pytest.raises(AlreadyDeclared):
                await here.manifests.apply(asked, "ann")
            await here.manifests.apply(SwitchManifest("new", enabled=False), "ann")
            assert here.loops.actual().keys() == {"sales"}
            deletion = await here.manifests.propose(DeleteManifest("sales"))
            (step,) = deletion.plan["steps"]
            assert (step["step"], "0 messages remembered" in step["consequences"][0]) == (
                "Stop",
                True,
            )
            await here.manifests.apply(DeleteManifest("new"), "ann")
            await here.manifests.apply(DeleteManifest("sales"), "ann")
            await here.manifests.apply(DeleteManifest("off"), "ann")
            assert not here.files()
            assert not here.loops.actual()
            with pytest.raises(NotDeclared):
                await here.manifests.apply(DeleteManifest("off"), "ann")

    run(scenario())


def test_an_invalid_result_is_not_written(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            asked = ReplaceManifest("sales", SALES.replace("5m", "5 apples"))
            proposed = await here.manifests.propose(asked)
            (found,) = proposed.draft.diagnostics
            assert (found.line, found.path, found.rule) == (11, "spec.collect.interval", "interval")
            with pytest.raises(EditRefused):
                await here.manifests.apply(asked, "ann")
            assert (root / "sales.yaml").read_text() == SALES

    run(scenario())
