"""A bell at a collector's door: the connection on which its server tells of new mail.

A session begins the connection (it is in a thread anyway), then lists: mail that comes in between
rings already. While it waits it costs no thread: a file descriptor in the event loop's selector,
and a timer. It asks anew every nine minutes, and an answer that does not come within half a minute
means that nobody is there (hazard I19). When it is lost, or was never to be had, it is tried again
with a session, after a growing pause; the interval holds all the time (I31).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from reconciler.log import log
from reconciler.model.errors import SourceError
from reconciler.model.interfaces import Push

RENEWAL = 540.0
"""Seconds between two askings; up to a tenth less, by chance, so that connections begun together
part."""
ANSWER = 30.0
"""Seconds in which the server answers."""
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 3600.0


class PushListener:
    """`ring`: there is new mail. `lost`: the connection is gone, and may be begun again at
    `pause_until`."""

    __slots__ = ("_failures", "_lost", "_name", "_push", "_ring", "_timer", "pause_until")

    def __init__(self, name: str, ring: Callable[[], None], lost: Callable[[], None]) -> None:
        self._name = name
        self._ring = ring
        self._lost = lost
        self._push: Push | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self.pause_until = 0.0
        """By the event loop's clock."""

    @property
    def hangs(self) -> bool:
        """It waits for mail."""
        return self._push is not None

    @property
    def due(self) -> bool:
        """It does not hang, and should."""
        return self._push is None and asyncio.get_running_loop().time() >= self.pause_until

    def hang(self, push: Push) -> None:
        """Wait on this connection, which has begun to listen."""
        self._push = push
        asyncio.get_running_loop().add_reader(push.fileno(), self._readable)
        self._later(RENEWAL * random.uniform(0.9, 1.0), self._renew)  # noqa: S311  # no secret
        self._readable()  # what came with the last reply of `begin` makes no descriptor readable

    def missed(self) -> None:
        """It could not be had."""
        self._failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._failures - 1))
        # no secret
        self.pause_until = asyncio.get_running_loop().time() + pause * random.uniform(1.0, 2.0)  # noqa: S311

    def take_down(self) -> None:
        """Close the connection, if there is one."""
        push, self._push = self._push, None
        if push is not None:
            asyncio.get_running_loop().remove_reader(push.fileno())
            push.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _readable(self) -> None:
        if self._push is None:
            return
        try:
            news = self._push.take()
        except SourceError as error:
            self._fail(str(error))
            return
        if news:
            self._ring()

    def _renew(self) -> None:
        if self._push is None:
            return
        try:
            self._push.renew()
        except SourceError as error:
            self._fail(str(error))
        else:
            self._later(ANSWER, self._answered)

    def _answered(self) -> None:
        if self._push is None:
            return
        if not self._push.listening:
            self._fail("the server did not answer, so nobody is there any more")
            return
        self._failures = 0
        # no secret
        self._later(RENEWAL * random.uniform(0.9, 1.0) - ANSWER, self._renew)  # noqa: S311

    def _fail(self, why: str) -> None:
        log.info("push interrupted", collector=self._name, reason=why)
        self.take_down()
        self.missed()
        self._lost()
