"""The connection on which a collector's server tells of new mail.

A session opens the connection, for it has a thread anyway, and lists the folders afterwards: no
mail falls between the two. Then the connection belongs to the listener. It costs no thread: a file
descriptor in the event loop's selector, and a timer.

    every 9 minutes          the listener asks the server again (a tenth less at most, by chance)
    no answer in 30 s        the connection is taken for dead (hazard I19)
    lost or not to be had    a session opens it again after a pause: 15 s, twice that after each
                             further failure, 1 hour at most; up to double, by chance
    mail keeps coming        sessions begin 0.5 s apart, then 1 s, then 2 s at most

The collector's interval holds all the time (hazard I31).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from reconciler.log import log
from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    SourceError,
    Throttled,
)
from reconciler.model.interfaces import Push, PushFactory
from reconciler.model.outcomes import Failure
from reconciler.planning.desired_state import DesiredCollector

RENEWAL = 540.0
"""Seconds between two requests to be told of new mail."""
ANSWER = 30.0
"""Seconds in which the server must answer such a request."""
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 3600.0
"""Seconds until a connection is opened again: after the first failure, and at most."""
SHORTEST_GAP, LONGEST_GAP = 0.5, 2.0
"""Seconds between the beginnings of two sessions that mail calls for: at first, and at most."""
OpenPush = Callable[[DesiredCollector], Push]
"""Reads the secret and returns a connection, not yet begun. Raises CollectorError."""
_FEWER_CONNECTIONS = {Throttled.reason, AuthenticationFailed.reason}
"""Reasons of a failed session for which the server would rather have one connection less."""


class PushListener:
    """Owns the connection of one collector and decides when the next session should begin for it.

    `open_push` opens a connection; None where no server is to tell of new mail, whatever the
    manifests say. `call_session` is called with the time by which a session should begin: because
    mail has come, or in order to open the connection again. It is not called while a session runs.
    All times are of the event loop's clock.
    """

    __slots__ = (
        "_call_session",
        "_failures",
        "_gap",
        "_in_session",
        "_mail_in_session",
        "_name",
        "_open_again_at",
        "_open_push",
        "_push",
        "_session_began",
        "_timer",
    )

    def __init__(
        self, name: str, open_push: OpenPush | None, call_session: Callable[[float], None]
    ) -> None:
        self._name = name
        self._open_push = open_push
        self._call_session = call_session
        self._push: Push | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._open_again_at = 0.0
        self._session_began = float("-inf")
        self._gap = SHORTEST_GAP
        self._in_session = False
        self._mail_in_session = False
        """New mail was told during the session, which may have listed before."""

    # -- told by the loop

    def session_begins(self, collector: DesiredCollector) -> PushFactory | None:
        """Note that a session begins. Return the function by which it opens the connection; None if
        it is not to open one."""
        open_push = self._open_push
        if open_push is None or not collector.effective.collect.push:
            return None
        now = _now()
        pressed = now - self._session_began <= 4 * self._gap
        self._gap = min(LONGEST_GAP, 2 * self._gap) if pressed else SHORTEST_GAP
        self._session_began = now
        self._in_session, self._mail_in_session = True, False
        if self._push is not None or now < self._open_again_at:
            return None
        return lambda: open_push(collector)

    def session_opened(self, push: Push | None) -> None:
        """Listen on `push`, after its `begin`. None: the session could not open it."""
        if push is None:
            self._pause()
            return
        self._push = push
        asyncio.get_running_loop().add_reader(push.fileno(), self._readable)
        self._later(_renewal(), self._renew)
        # what came with the last reply of `begin` makes no descriptor readable
        self._readable()

    def session_failed(self, failure: Failure) -> None:
        """Close the connection for a while, if the server wants fewer connections."""
        if failure.reason in _FEWER_CONNECTIONS and self._push is not None:
            self._close_connection()
            self._pause()

    def session_over(self) -> float | None:
        """Note that the session is over. Return the time of the next one if the server reported
        mail meanwhile, else None."""
        self._in_session = False
        return self._session_began + self._gap if self._mail_in_session else None

    def reset(self) -> None:
        """Close the connection, and forget its failures and the mail that it told of: the
        collector has another spec, or ends."""
        self._close_connection()
        self._failures, self._open_again_at = 0, 0.0
        self._mail_in_session = False

    # -- told by the server

    def _readable(self) -> None:
        if self._push is None:
            return
        try:
            new_mail = self._push.take()
        except SourceError as error:
            self._lost(error)
            return
        if new_mail and self._in_session:
            self._mail_in_session = True
        elif new_mail:
            self._call_session(self._session_began + self._gap)

    def _lost(self, error: SourceError) -> None:
        log.info("push interrupted", collector=self._name, reason=str(error))
        if self._push is not None:
            self._push.lost(error)
        self._close_connection()
        self._pause()
        if not self._in_session:
            self._call_session(self._open_again_at)

    # -- the connection's timer

    def _renew(self) -> None:
        if self._push is None:
            return
        try:
            self._push.renew()
        except SourceError as error:
            self._lost(error)
        else:
            self._later(ANSWER, self._check_answer)

    def _check_answer(self) -> None:
        if self._push is None:
            return
        if not self._push.listening:
            self._lost(ConnectionFailed("the server did not answer, so nobody is there any more"))
            return
        self._failures = 0
        self._later(_renewal() - ANSWER, self._renew)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _pause(self) -> None:
        self._failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._failures - 1))
        self._open_again_at = _now() + pause * random.uniform(1.0, 2.0)  # noqa: S311  # no secret

    def _close_connection(self) -> None:
        push, self._push = self._push, None
        if push is not None:
            asyncio.get_running_loop().remove_reader(push.fileno())
            push.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


NO_PUSH = PushListener("", None, lambda _: None)
"""Listens to nothing: for the many collectors that want no push."""


def _renewal() -> float:
    """Return the seconds until the next request: by chance, so that connections that begin
    together part."""
    return RENEWAL * random.uniform(0.9, 1.0)  # noqa: S311  # no secret


def _now() -> float:
    return asyncio.get_running_loop().time()
