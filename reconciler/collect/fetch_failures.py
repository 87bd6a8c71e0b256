"""Decide which message caused a failed fetch, and what is recorded about it.

A server that cannot deliver one message may refuse it or leave it out. It may also say goodbye,
close, fall silent, or break its protocol in the middle of others. The session goes on over another
connection. What follows for the messages:

    what had come                        is delivered
    the one that is likely the cause     is a *suspect*: asked for alone and last, from the next
                                         session on
    many of which any may be the cause   are asked for alone, after all others, in this session
    many on their way when the           nobody is suspected, for what was sent may not have
    connection was reset                 arrived; the next ones are asked for one at a time
    a message that fails when it is      is counted, and given up after `retry_rules.ATTEMPTS`
    asked for alone
    nothing comes at all                 the server fails for all: nobody is blamed, the session
                                         fails

A failure is *proven* to be one message's when something else comes afterwards. Where nothing else
is asked for, `ServerProbe` asks for a message that came before. Only where there is none, a failure
in an earlier session, in which others came, counts as proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Generic

from msgspec import Struct

from reconciler.collect.attempt_records import AttemptRecords
from reconciler.collect.retry_rules import (
    ATTEMPTS,
    is_proven,
    pause_length,
    state_after_fetch_failure,
)
from reconciler.collect.selection import COLLECTED_BEFORE, VANISHED, Attempt, FolderWork
from reconciler.collect.server_probe import ServerProbe
from reconciler.collect.session_connection import SessionConnection
from reconciler.collect.session_context import FetchProgress, S, SessionContext
from reconciler.model.errors import ConnectionFailed, FolderFailed, ProtocolViolation, SourceError
from reconciler.model.messages import Unfetched, Vanished
from reconciler.model.outcomes import MessageState, Record

_FRUITLESS = 4
"""After this number of connections in a row without a message, the folder gives nothing now.
Messages from everywhere in it were requested."""
_GONE = "the server lists it, and it is gone when it is asked for"


class _FailedFetch(Struct, frozen=True):
    """A message that did not come. `error`: what ended the connection, or what the server's refusal
    stands for (`Unfetched.later`). `alone`: it failed by itself, not among others. `lost`: the
    connection was lost, which may be the network's fault."""

    attempt: Attempt
    reason: str
    error: SourceError | None
    alone: bool
    lost: bool

    @property
    def is_proven(self) -> bool:
        return is_proven(self.attempt.previous)


class FetchFailures(Generic[S]):
    """The messages of one folder that did not come, until the cause is known."""

    def __init__(
        self,
        context: SessionContext[S],
        connection: SessionConnection[S],
        progress: FetchProgress,
        records: AttemptRecords[S],
        probe: ServerProbe[S],
        work: FolderWork,
    ) -> None:
        self._context = context
        self._connection = connection
        self._progress = progress
        self._records = records
        self._probe = probe
        self._work = work
        self._folder = work.ledger_folder
        self._refused: list[_FailedFetch] = []
        self._lost: list[_FailedFetch] = []
        """Failed fetches that ended with a lost connection."""
        self.alone: list[Attempt] = []
        """Messages to be requested alone in this session, after all others."""
        self.in_hand: Attempt | None = None
        """The message whose content is being read."""

    # -- a single message

    def add_refused(self, attempt: Attempt, refused: Unfetched) -> None:
        if refused.final:
            self._records.undelivered(self._folder, attempt, MessageState.PARKED, refused.reason)
            self._progress.arrived += 1
        else:
            self._refused.append(
                _FailedFetch(attempt, refused.reason, refused.later, alone=True, lost=False)
            )

    def add_vanished(self, attempt: Attempt, vanished: Vanished) -> None:
        """Note a message that was listed again, and was gone again when it was asked for. It
        counts as refused."""
        reason = f"{_GONE}: {vanished.reason}" if vanished.reason else _GONE
        if attempt.previous is not None and _GONE in attempt.previous.reason:
            self._refused.append(_FailedFetch(attempt, reason, None, alone=True, lost=False))
            return
        self._records.suspected(self._folder, [(attempt, reason)])
        self._context.tally.skip(VANISHED)

    def message_came(self) -> None:
        """Note that a message came: the server does not fail for all, so each failure is a
        message's own."""
        if not self._refused and not self._lost:
            return
        for failure in self._take():
            if failure.alone:
                self._count(failure)
            else:
                self._records.suspected(self._folder, [(failure.attempt, failure.reason)])

    # -- a lost connection

    def connection_lost(
        self, open_: dict[str, Attempt], error: SourceError, *, alone: bool, one_by_one: bool
    ) -> dict[str, Attempt]:
        """Return those of the `open_` messages that are still to be asked for.

        The likely cause waits for the next session, which may have more luck; where there are many,
        all are asked for alone after everything else. A message that was requested `alone` is the
        cause. There are two exceptions: the server had refused the message before it, or it allows
        no further message over one connection. Where messages were not asked for `one_by_one` and
        the connection was reset, nobody knows how far the server had come.
        """
        causes = self._causes(open_)
        connection = self._connection
        connection.was_reset = (
            not one_by_one and isinstance(error, ConnectionFailed) and error.abrupt
        )
        if not causes:
            return open_  # it had come before the connection ended
        failed_before = causes[0].previous is not None and causes[0].previous.attempts > 0
        if (
            connection.was_reset
            or connection.last_fetched is Unfetched
            or (alone and not failed_before and connection.last_fetched is not None)
        ):
            return {attempt.listed.key: attempt for attempt in causes} | open_
        if alone:
            self._progress.lost_again += failed_before
            self._add_lost(causes[0], error, alone=True)
        else:
            self._progress.trouble = self._progress.trouble or error
            self._suspect(causes, error)
        return open_

    def check_server(self, error: SourceError) -> None:
        """Find out, after every second connection in a row that brought nothing, whether the
        server gives anything. Raise FolderFailed if it does not."""
        fruitless = self._connection.fruitless
        if not fruitless or fruitless % 2:
            return
        gives = self._probe.server_gives()
        if gives:
            self.message_came()
            self._connection.fruitless = 0
        elif gives is False or (fruitless >= _FRUITLESS and not self._all_proven()):
            self._blame_nobody()
            raise FolderFailed(
                f"{self._work.folder.name or 'the maildrop'}: nothing comes: {error}", error
            )

    def _causes(self, open_: dict[str, Attempt]) -> list[Attempt]:
        """Remove the messages of which one may have ended the fetch from `open_`, and return them,
        the likeliest first."""
        in_hand, self.in_hand = self.in_hand, None
        keys = [listed.key for listed in self._context.source.suspects]
        if in_hand is not None and in_hand.listed.key not in keys:
            keys = [in_hand.listed.key]
        return [open_.pop(key) for key in keys if key in open_]

    def _suspect(self, causes: Sequence[Attempt], error: SourceError) -> None:
        likeliest, *others = causes
        if len(causes) > 2 or likeliest.is_presumed:
            others = list(causes)  # the ledger keeps what it knows of one that is presumed
        else:
            self._add_lost(likeliest, error, alone=False)
            self._records.suspected(self._folder, [(likeliest, "")])
            self._context.note(
                f"a message is asked for by itself next time, the connection was lost with it: "
                f"{error}"
            )
        self._records.suspected(self._folder, [(attempt, "") for attempt in others])
        self.alone.extend(others)

    def _add_lost(self, attempt: Attempt, error: SourceError, *, alone: bool) -> None:
        lost = not isinstance(error, ProtocolViolation)
        self._lost.append(_FailedFetch(attempt, str(error), error, alone, lost))

    def _all_proven(self) -> bool:
        failures = [*self._refused, *self._lost]
        return bool(failures) and all(failure.is_proven for failure in failures)

    # -- the end of a round

    def settle(self) -> None:
        """Decide about the messages that did not come, and after which nothing came."""
        if not self._refused and not self._lost:
            return
        later = next((each.error for each in self._refused if each.error is not None), None)
        trouble = later or (
            self._lost[-1].error
            if self._lost
            else SourceError(f"the server gives no message: {self._refused[-1].reason}")
        )
        gives = self._probe.server_gives()
        if gives or (gives is None and self._progress.arrived and later is None):
            self.message_came()
        elif gives is None:
            self._settle_without_probe(trouble, later)
        else:
            self._blame_nobody()
            self._progress.trouble = self._progress.trouble or trouble
            if later is not None:
                raise later

    def _settle_without_probe(self, trouble: SourceError | None, later: SourceError | None) -> None:
        """Decide where no other message can be asked for. A message counts as failed if it failed
        in an earlier session in which others came. The only message of a folder counts at once,
        because no other one can give a proof."""
        lost_alone = any(failure.alone for failure in self._lost)
        failures = [failure for failure in self._take() if failure.alone]
        any_unproven = not all(failure.is_proven for failure in failures)
        for failure in failures:
            if failure.is_proven or self._progress.only_attempt:
                proven = failure.is_proven and (later is None or not any_unproven)
                self._count(failure, proven=proven)
            else:
                self._records.suspected(self._folder, [(failure.attempt, "")])
        if not any_unproven:
            return
        if later is not None:
            raise later
        if lost_alone or not self._progress.only_attempt:
            self._progress.trouble = self._progress.trouble or trouble

    def _blame_nobody(self) -> None:
        """Record the messages as suspected, because nothing comes. From now on they are asked
        for one by one."""
        self._records.suspected(self._folder, [(each.attempt, "") for each in self._take()])

    def _take(self) -> list[_FailedFetch]:
        failures = [*self._refused, *self._lost]
        self._refused, self._lost = [], []
        return failures

    def _count(self, failure: _FailedFetch, *, proven: bool = True) -> None:
        """Count a failure of this message alone. Not `proven`: all others might have failed,
        too."""
        attempt, reason = failure.attempt, failure.reason
        if attempt.is_presumed:
            self._count_uncompared(failure)
            return
        state = state_after_fetch_failure(attempt.number, lost=failure.lost)
        if state is MessageState.PARKED:
            reason = f"given up after {attempt.number} attempts: {reason}"
        elif state is MessageState.PAUSED:
            until = (self._context.now() + pause_length(attempt.number)).astimezone(UTC)
            reason = (
                f"put off until {until:%Y-%m-%d %H:%M} UTC after {attempt.number} attempts: "
                f"{reason}"
            )
        elif not proven:
            state = MessageState.SUSPECT
        self._records.undelivered(self._folder, attempt, state, reason)

    def _count_uncompared(self, failure: _FailedFetch) -> None:
        """Count a failure of a message that was collected before and cannot be compared. It
        stays as it is."""
        attempt = failure.attempt
        assert attempt.previous is not None  # noqa: S101  # it is presumed
        given_up = attempt.number >= ATTEMPTS
        record = Record(
            attempt.key,
            MessageState.PRESUMED,
            attempt.listed.size or 0,
            attempt.previous.occurrence,
            reason=f"it cannot be compared: {failure.reason}" if given_up else "",
            counted=True,
        )
        self._records.write(self._folder, [(attempt, record)] if failure.lost else [])
        self._context.tally.skip(COLLECTED_BEFORE)
