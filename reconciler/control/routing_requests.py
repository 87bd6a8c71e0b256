"""Explain, on request, why a parked message has no recipient."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.control.admission import Admission, admitted
from reconciler.control.event_loop import ThreadPool
from reconciler.control.host_health import target_of
from reconciler.control.running_set import RunningSet
from reconciler.model.errors import CollectorError
from reconciler.model.routing_answer import Routing
from reconciler.planning.desired_state import DesiredCollector

Explain = Callable[[DesiredCollector, str, str], Routing]
"""Returns who would get the message of this folder and key. Blocking; raises CollectorError."""


class NotOnServer(CollectorError):
    """The message is not there any more."""

    reason = "NotFound"


class RoutingRequests:
    """Runs a few explanations at once, admitted to a host as sessions are."""

    def __init__(self, explain: Explain, admission: Admission, loops: RunningSet) -> None:
        self._explain = explain
        self._admission = admission
        self._loops = loops
        self._threads = ThreadPool("explain", 2)

    async def run(self, collector: DesiredCollector, folder: str, key: str) -> Routing:
        """Return who would get this message, and why. Raises CollectorError."""
        self._loops.check_allowed(collector.name)
        async with (
            admitted(self._admission, target_of(collector), urgent=True),
            self._loops.checking(collector.name),
        ):
            return await self._threads.run(self._explain, collector, folder, key)
