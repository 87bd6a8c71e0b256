"""The exchange between a running session and the event loop: requests to stop, and counters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from reconciler.model.errors import CollectorError
from reconciler.model.outcomes import Failure, SessionReport


class SessionControl:
    """The state that a running session shares with the event loop.

    The session asks for `stopping` between messages, reports its `progress`, and registers with
    `on_give_up` what breaks its connection. The event loop does the rest.
    """

    def __init__(
        self,
        tell: Callable[[SessionReport], None] = lambda _: None,
        *,
        ignores_pauses: bool = False,
        repeats_unanswered: bool = False,
        login: Callable[[], None] = lambda: None,
        entered: Callable[[], None] = lambda: None,
    ) -> None:
        """`login` is called for each login but the first, `entered` when the server has let the
        session in; both in the session's thread."""
        self.entered = entered
        self.failed_elsewhere = False
        """Whether the session failed before it reached the server, so that the failure says nothing
        about the server."""
        self.failure: Failure | None = None
        """The error that ended a check."""
        self.ignores_pauses = ignores_pauses
        """Whether paused messages are tried now, unless a server asked for the pause."""
        self.repeats_unanswered = repeats_unanswered
        """Whether messages that a receiver may have taken without an answer are sent again now."""
        self.another_login = login
        self._tell = tell
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._given_up = False
        self._abort: Callable[[], None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether to end after the message in hand."""
        return self._stop.is_set()

    @contextmanager
    def not_the_server(self) -> Iterator[None]:
        """Note that what fails inside of this context is not the server's fault: reading a secret,
        getting a token."""
        try:
            yield
        except CollectorError:
            self.failed_elsewhere = True
            raise

    def progress(self, report: SessionReport) -> None:
        """Report the counters so far, from any thread."""
        self._tell(report)

    def on_give_up(self, abort: Callable[[], None]) -> None:
        """Register what breaks the connection, from any thread. It is called at once where the
        session was given up already."""
        with self._lock:
            self._abort = abort
            given_up = self._given_up
        if given_up:
            abort()

    def stop(self) -> None:
        """End after the message in hand."""
        self._stop.set()

    def give_up(self) -> None:
        """End without waiting for the message in hand."""
        self._stop.set()
        with self._lock:
            self._given_up = True
            abort = self._abort
        if abort is not None:
            abort()


class Relay:
    """Takes counters from the session's thread to the event loop: only the latest ones, however
    often they are reported."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[SessionReport], None] = lambda _: None,
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._latest: SessionReport | None = None
        self._on_its_way = False

    def tell(self, report: SessionReport) -> None:
        self._latest = report  # before the flag is read: `_deliver` clears it, then reads this
        if not self._on_its_way:
            self._on_its_way = True
            self.call(self._deliver)

    def call(self, call: Callable[[], None]) -> None:
        """Call a function in the event loop. Nothing is called if the loop is closed, because the
        session was left behind."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _deliver(self) -> None:
        self._on_its_way = False
        if self._latest is not None:
            self._tell(self._latest)
