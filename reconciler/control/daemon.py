"""The daemon: one event loop that watches, reconciles and serves, until it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec import Struct

from reconciler.control.access_requests import AccessRequests
from reconciler.control.admission import Admission
from reconciler.control.check_requests import Check, CheckRequests
from reconciler.control.contained_defects import ContainedDefects
from reconciler.control.control_service import ControlService
from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import LimitsOf, provider_limits
from reconciler.control.mailbox_access import MailboxAccess
from reconciler.control.observation import ManifestDirectory
from reconciler.control.pause_switch import PauseSwitch
from reconciler.control.push_listener import OpenPush
from reconciler.control.removal_grace import SETTLE
from reconciler.control.routing_requests import Explain, RoutingRequests
from reconciler.control.running_set import RunningSet
from reconciler.control.service_figures import measure_lag
from reconciler.control.service_manager import ServiceNotifier
from reconciler.control.service_pause import ServicePause
from reconciler.control.service_views import Dialogues
from reconciler.control.session_pool import Decide, RunSession, SessionPool
from reconciler.control.session_request import SecretStamp, unstamped
from reconciler.control.status_board import StatusBoard
from reconciler.control.watcher import Watcher
from reconciler.log import log
from reconciler.manifests.directory_walk import DirectoryVanished, list_files
from reconciler.model.interfaces import Registry

GRACE = 3.0
"""Seconds that the messages in hand have once the daemon is told to end; then they are given up."""
END_TIMEOUT = 3.0
"""Seconds that sessions which were given up have to end."""
LAST_MOMENT = 9.0
"""Seconds after which the process ends, whatever still hangs (a name lookup, a dead file system). A
message may be interrupted at any step."""


_SWITCH = 0.001
"""Seconds after which a thread that works lets another one work. The event loop waits that long for
each thread that reads a very long reply. One answer of the API needs several such turns."""


class Parts(Struct, frozen=True):
    """What the daemon is given, for it knows no adapter. `serve` serves the API inside of its
    context."""

    registry: Registry
    run_session: RunSession
    decide: Decide
    check: Check
    serve: Callable[[ControlService], AbstractAsyncContextManager[None]]
    max_sessions: int = 32
    limits_of: LimitsOf = provider_limits
    open_push: OpenPush | None = None
    allow_inline_secrets: bool = False
    allow_empty: bool = False
    stamp: SecretStamp = unstamped
    pause_file: Path | None = None
    git_commit: bool = False
    gives_access: MailboxAccess | None = None
    explain: Explain | None = None
    dialogues: Dialogues | None = None


async def run_daemon(manifests: Path, parts: Parts, leave: Callable[[int], None] = os._exit) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code: 0 after a signal, 2 when `manifests`
    is no directory that can be listed.

    The caller owns the state directory (`state_ownership.owned`). SIGHUP reads the manifests anew,
    unless it comes because the process's terminal is gone. A second signal that is not SIGTERM ends
    the process at once, through `leave`; so do the seconds of `LAST_MOMENT` after the first one.
    """
    try:
        await asyncio.to_thread(list_files, manifests)
    except DirectoryVanished as error:
        # no traceback: this is no defect
        log.error("no directory of manifests", error=str(error))  # noqa: TRY400
        return 2
    sys.setswitchinterval(_SWITCH)
    signals = _Signals(leave)
    clock = Clock()
    pool = SessionPool(
        parts.run_session, parts.decide, parts.registry, parts.max_sessions, clock.now, parts.stamp
    )
    defects = ContainedDefects()
    asyncio.get_running_loop().set_exception_handler(defects.unforeseen)
    board = StatusBoard(clock, defects)
    admission = Admission(parts.max_sessions, parts.limits_of)
    admission.on_begun = board.figures.start_delays.add
    loops = RunningSet(pool, admission, clock, board, parts.stamp, parts.open_push, defects)
    directory = ManifestDirectory(
        manifests,
        allow_inline_secrets=parts.allow_inline_secrets,
        allow_empty=parts.allow_empty,
        grace=SETTLE,
    )
    controller = Controller(directory, parts.registry, loops, board, clock)
    board.connect(loops.state, controller.loop_ended, controller.session_failed)
    watcher = Watcher(manifests, controller.wake)
    controller.on_moved(watcher.renew)
    checks = CheckRequests(parts.check, admission, loops, pool.learn)
    control = ControlService(
        controller, loops, board, parts.registry, checks, clock, git_commit=parts.git_commit
    )
    if parts.gives_access is not None:
        control.access = AccessRequests(parts.gives_access, lambda: controller.desired, admission)
    if parts.explain is not None:
        control.routings = RoutingRequests(parts.explain, admission, loops)
    control.dialogues = parts.dialogues
    control.pauses = PauseSwitch(ServicePause(parts.pause_file), admission, board, clock)
    supervisor = ServiceNotifier(os.environ)
    controller.on_turned(
        lambda: supervisor.turn_ended(ready=control.ready, status=_status(control, len(loops)))
    )
    async with parts.serve(control):
        log.info("started", manifests=str(directory.root), pid=os.getpid())
        try:
            await _run_until(
                signals.end_requested,
                controller.run(),
                watcher.run(),
                measure_lag(board.figures),
                supervisor.run(lambda: control.healthy),
                supervisor.reload(signals.reload, control.reload),
            )
        finally:
            supervisor.tell("STOPPING=1", "STATUS=ending")
            checks.close()
            await loops.shut_down(GRACE, END_TIMEOUT)
            pool.close()
    log.info("ended")
    return 0


async def _run_until(end_requested: asyncio.Event, *works: Coroutine[None, None, None]) -> None:
    """Run all `works` until the event. An exception in one of them ends the daemon."""
    tasks = [asyncio.ensure_future(work) for work in works]
    waiting = asyncio.ensure_future(end_requested.wait())
    try:
        done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


def _status(control: ControlService, running: int) -> str:
    """Return one line for the service manager."""
    errors = sum(found.is_error for found in control.diagnostics)
    wrong = f"; {errors} error{'s' * (errors != 1)} in the manifests" if errors else ""
    return f"{running} collector{'s' * (running != 1)} run{'s' * (running == 1)}{wrong}" + (
        f"; {control.trouble}" if control.trouble else ""
    )


class _Signals:
    """Handles signals. The first SIGTERM or SIGINT sets `end_requested` and the timer of
    `LAST_MOMENT`; a second signal ends the process at once.

    A second SIGTERM does not: timeout(1) sends it twice, and it comes twice where a process group
    and the process are both signalled. SIGHUP sets `reload`; where the terminal that the process
    had is gone, it counts as a signal to end.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        self.end_requested = asyncio.Event()
        self.reload = asyncio.Event()
        self._terminal = _has_terminal()
        self._leave = leave
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1)
            loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def _hung_up(self) -> None:
        if self._terminal and not _has_terminal():
            self._take(signal.SIGHUP)
        else:
            self.reload.set()

    def _take(self, number: signal.Signals) -> None:
        if self.end_requested.is_set():
            if number != signal.SIGTERM:
                self._leave(128 + number)
            return
        self.end_requested.set()
        last = threading.Timer(LAST_MOMENT, self._leave, (0,))
        last.daemon = True
        last.start()
        log.info("ending", signal=number.name)


def _has_terminal() -> bool:
    """Return whether there is a controlling terminal, tty(4)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
