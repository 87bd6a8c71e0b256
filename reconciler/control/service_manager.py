"""Notifications to the service manager about the daemon's state: sd_notify(3) and
sd_watchdog_enabled(3), over the socket that $NOTIFY_SOCKET names. Without that variable nothing
is sent."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from reconciler.log import log
from reconciler.model.whole_numbers import whole_number

PAUSE = 5.0
"""The longest time in seconds between two attempts to send, and between two signs of life for
the watchdog."""


class ServiceNotifier:
    """Sends notifications. It never blocks and never fails. What the service manager cannot take
    now is sent later."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog(environment) if self._address else 0.0
        self._waiting: deque[bytes] = deque(maxlen=256)
        self._ready = False
        self._status = ""
        self._unheard = False

    def tell(self, *facts: str) -> None:
        """Send these assignments, such as READY=1, in one message."""
        if self._address:
            self._waiting.append(
                "\n".join(fact.replace("\n", " ") for fact in facts).encode("utf-8", "replace")
            )
            self._send()

    def turn_ended(self, *, ready: bool, status: str) -> None:
        """Note a turn of the control loop, and send what is new."""
        first = ready and not self._ready
        if first or status != self._status:
            self.tell(*["READY=1"] * first, f"STATUS={status}")
        self._ready, self._status = ready, status

    async def run(self, moves: Callable[[], bool]) -> None:
        """Send signs of life to the watchdog as long as `moves` returns true, and notifications
        that could not be sent before. Ends only when it is cancelled."""
        while True:
            self._send()
            if self._watchdog and moves() and not self._waiting:
                self.tell("WATCHDOG=1")
            await asyncio.sleep(min(self._watchdog / 2 or PAUSE, PAUSE))

    async def reload(self, asked: asyncio.Event, reload: Callable[[], Awaitable[object]]) -> None:
        """Reload as often as it is asked for; requests that come meanwhile count as one. Ends only
        when it is cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            log.info("reloading", signal="SIGHUP")
            self.tell(
                "RELOADING=1",
                f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}",
            )
            await reload()
            self.tell("READY=1")

    def _send(self) -> None:
        if not self._waiting:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.setblocking(False)
                manager.connect(self._address)
                while self._waiting:
                    manager.send(self._waiting[0])
                    self._waiting.popleft()
        except BlockingIOError:
            return  # the manager has not read the earlier messages yet
        except OSError as error:
            if not self._unheard:
                log.warning(
                    "the service manager cannot be told anything",
                    error=str(error),
                    see="NOTIFY_SOCKET",
                )
            self._unheard = True
        else:
            self._unheard = False


def _address(name: str) -> str:
    """Return the socket's address: a path, or a name in the abstract namespace, which is written
    with @ in front; "" where there is none."""
    if name.startswith("@"):
        return "\0" + name[1:]
    if name and not name.startswith("/"):
        log.warning(
            "the service manager cannot be told anything",
            error="this is neither a path nor @NAME",
            see="NOTIFY_SOCKET",
        )
        return ""
    return name


def _watchdog(environment: Mapping[str, str]) -> float:
    """Return the seconds within which the watchdog expects a sign of life; 0: there is no watchdog,
    or it is another process's."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return (whole_number(environment.get("WATCHDOG_USEC", "")) or 0) / 1e6
