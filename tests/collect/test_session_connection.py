"""How often a session connects once more, of a source that only connects."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.collect.session_connection import SessionConnection
from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    FolderFailed,
    ProtocolViolation,
    SourceError,
    Stopped,
    Throttled,
)
from reconciler.model.messages import Arrival, Listed, Pace
from tests.collect.world import broken

LOST = broken()


class Account:
    """A session's context, as far as a connection asks for it."""

    def __init__(self, *errors: SourceError) -> None:
        self._errors: Iterator[SourceError] = iter(errors)
        self.logins = 0
        self.steering = SimpleNamespace(stopping=False, another_login=self._login)
        self.source = SimpleNamespace(reconnect=self._reconnect)

    def check_stop(self) -> None:
        if self.steering.stopping:
            raise Stopped("told to stop")

    def _login(self) -> None:
        self.logins += 1

    def _reconnect(self) -> None:
        error = next(self._errors, None)
        if error is not None:
            raise error


def connection(account: Account) -> SessionConnection[Any]:
    context: Any = account
    return SessionConnection(context)


def lost(account: Account) -> SessionConnection[Any]:
    made = connection(account)
    made.note_loss(LOST)
    return made


def test_a_connection_that_is_there_is_used() -> None:
    account = Account()
    made = connection(account)
    made.ensure_connected()
    assert (account.logins, made.reconnections, made.pace) == (0, 0, Pace.AHEAD)
    made.ended = True
    made.ensure_connected()
    assert (account.logins, made.reconnections, made.pace) == (1, 1, Pace.STEADY)


def test_after_a_loss_everything_begins_anew() -> None:
    account = Account()
    made = connection(account)
    made.last_fetched, made.uncommitted, made.in_step = Arrival, [Listed("1", 1)], False
    made.note_loss(LOST)
    assert (made.lost, made.uncommitted, made.in_step) == (LOST, [], False)
    made.ensure_connected()
    made.ensure_connected()
    assert account.logins == 1
    assert [made.lost, made.last_fetched, made.in_step] == [None, None, True]


@pytest.mark.parametrize("earned", [0, 1, 60, 61])
def test_a_session_connects_so_often_and_once_more_for_each_that_was_earned(earned: int) -> None:
    account = Account()
    made = connection(account)
    for _ in range(earned):
        made.count_messages(5)
        made.count_messages(4)
    for number in range(23 + min(earned, 60)):
        assert made.may_go_on is (number < 20 + min(earned, 60))
        made.note_loss(LOST)
        made.ensure_connected()
    made.note_loss(LOST)
    with pytest.raises(ConnectionFailed) as caught:
        made.ensure_connected()
    assert caught.value is LOST
    assert account.logins == 23 + min(earned, 60)
    made.lost, made.ended = None, True
    with pytest.raises(ConnectionFailed, match="the session has made enough connections"):
        made.ensure_connected()


def test_connections_on_which_nothing_came_are_counted_in_a_row() -> None:
    made = connection(Account())
    counts = []
    for came in (0, 0, 1, 0, 7, 0):
        made.count_messages(came)
        counts.append(made.fruitless)
    assert counts == [1, 2, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("error", "raised", "logins"),
    [
        pytest.param(ConnectionFailed("no route"), LOST, 1, id="not reached"),
        pytest.param(AuthenticationFailed("no"), LOST, 1, id="not let in"),
        pytest.param(Throttled("later"), None, 1, id="throttled"),
        pytest.param(FolderFailed("no INBOX"), None, 2, id="only the folder"),
    ],
)
def test_who_is_not_let_in_does_not_ask_again(
    error: SourceError, raised: SourceError | None, logins: int
) -> None:
    account = Account(error)
    made = lost(account)
    with pytest.raises(SourceError) as caught:
        made.ensure_connected()
    assert caught.value is (raised or error)
    if logins == 1:
        with pytest.raises(SourceError) as caught:
            made.ensure_connected()
        assert caught.value is (raised or error)
    else:
        made.ensure_connected()
        assert made.lost is None
    assert account.logins == logins


def test_where_a_connection_was_ended_in_good_order_the_error_of_the_next_one_is_told() -> None:
    error = ConnectionFailed("no route")
    made = connection(Account(error))
    made.ended = True
    with pytest.raises(ConnectionFailed) as caught:
        made.ensure_connected()
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "stopping", "goes_on"),
    [
        (LOST, False, True),
        (ProtocolViolation("not IMAP"), False, True),
        (Throttled("later"), False, True),
        (AuthenticationFailed("no"), False, False),
        (LOST, True, False),
    ],
)
def test_after_which_errors_another_connection_may_help(
    error: SourceError, stopping: bool, goes_on: bool
) -> None:
    account = Account()
    account.steering.stopping = stopping
    made = connection(account)
    if goes_on:
        made.note_loss(error)
        made.ensure_connected()
    else:
        with pytest.raises(SourceError) as caught:
            made.note_loss(error)
        assert caught.value is error
    assert account.logins == goes_on


def test_once_it_is_told_to_stop_a_session_does_not_connect() -> None:
    account = Account()
    made = lost(account)
    account.steering.stopping = True
    with pytest.raises(Stopped):
        made.ensure_connected()
    assert account.logins == 0


def test_a_command_that_fails_leaves_a_reply_outstanding() -> None:
    made = connection(Account())
    in_step = []
    with made.command():
        in_step.append(made.in_step)
    in_step.append(made.in_step)
    with pytest.raises(ConnectionFailed), made.command():
        raise LOST
    in_step.append(made.in_step)
    assert in_step == [False, True, False]
