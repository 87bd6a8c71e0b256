"""One session of a loop, and what all loops share to run theirs."""

from __future__ import annotations

import asyncio

from msgspec import Struct, field

from reconciler.control.admission import Admission
from reconciler.control.contained_defects import ContainedDefects
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import HostHealth
from reconciler.control.host_queues import Ticket
from reconciler.control.loop_backoff import LoopBackoff
from reconciler.control.loop_state import CollectorVersion, LoopObserver
from reconciler.control.push_listener import OpenPush, PushListener
from reconciler.control.session_control import Relay, SessionControl
from reconciler.control.session_request import (
    RunsSessions,
    SecretStamp,
    SessionRequest,
    SessionResult,
    unstamped,
)
from reconciler.model.outcomes import SessionReport


class LoopServices(Struct, frozen=True):
    """What all loops share. `open_push` is None where no server is to tell of new mail, whatever
    the manifests say."""

    sessions: RunsSessions
    admission: Admission
    clock: Clock
    observer: LoopObserver
    stamp: SecretStamp = unstamped
    open_push: OpenPush | None = None
    defects: ContainedDefects = field(default_factory=ContainedDefects)


class LoopSession:
    """A session of the collector `name`, admitted with `ticket`. `asked_for`: somebody waits for
    its report, so it also tries what is paused."""

    def __init__(
        self, name: str, ticket: Ticket, services: LoopServices, *, asked_for: bool
    ) -> None:
        self.ticket = ticket
        self._name = name
        self._services = services
        self.task: asyncio.Task[None] | None = None
        """The task that runs the session; set by the loop."""
        self.let_in = False
        """Whether the server has let it in: mail that arrives from then on may be missing in what
        the server lists."""
        admission, progressed = services.admission, services.observer.progressed
        relay = Relay(asyncio.get_running_loop(), lambda report: progressed(name, report))
        self.control = SessionControl(
            relay.tell,
            ignores_pauses=asked_for,
            repeats_unanswered=asked_for,
            login=lambda: relay.call(lambda: admission.another_login(ticket)),
            entered=lambda: relay.call(self._enter),
        )
        ticket.control = self.control

    def _enter(self) -> None:
        self.let_in = True
        self._services.admission.entered(self.ticket)

    async def run(
        self, version: CollectorVersion, backoff: LoopBackoff, host: HostHealth, push: PushListener
    ) -> SessionResult:
        """Run the session and return its result. It also opens the push connection where that is
        due."""
        open_push = push.session_begins(version.collector)
        if open_push is not None:
            self._services.admission.another_login(self.ticket)
        result = await self._services.sessions.run(
            SessionRequest(
                version.collector,
                backoff.recorded,
                version.fresh,
                self.control,
                backoff.verdict_on_refusals(host),
                open_push,
            )
        )
        if open_push is not None:
            push.session_opened(result.push)
        if result.report.error is not None:
            push.session_failed(result.report.error)
        return result

    def leave(self, report: SessionReport) -> None:
        """Report the result, and release the admission."""
        admission, reached = self._services.admission, not self.control.failed_elsewhere
        admission.learn(self.ticket, report, reached=reached, name=self._name)
        admission.release(self.ticket)
        self._services.observer.finished(self._name, report)
