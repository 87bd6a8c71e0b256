"""Long replies share the time of one thread that works."""

from __future__ import annotations

import pytest

from reconciler.wire.connection import Connection
from reconciler.wire.reply_turns import LONG, TURNS, ReplyTurn, ReplyTurns
from tests.servers.scripted import Client, Scripted
from tests.wire.conftest import Connect


def test_who_is_alone_never_waits() -> None:
    turns = ReplyTurns()
    assert [turns.wait(0.1, 100 + 0.1 * turn) for turn in range(4)] == pytest.approx(
        [0] * 4, abs=1e-6
    )


def test_several_at_once_wait_for_each_other_and_nobody_for_long() -> None:
    turns = ReplyTurns()
    assert [turns.wait(0.1, 100.0) for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-6)
    assert turns.wait(0.1, 101.0) == pytest.approx(0, abs=1e-6), "the others have stopped"
    assert max(turns.wait(0.5, 101.0) for _ in range(20)) <= 1


@pytest.mark.parametrize("octets", [LONG // 2, 4 * LONG])
def test_lines_count_where_they_are_very_many(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, octets: int
) -> None:
    worked: list[float] = []

    def wait(seconds: float, now: float) -> float:
        worked.append(seconds)
        return 0

    def script(client: Client) -> None:
        client.send(b"* 5 EXISTS\r\n" * (octets // 12) + b"end\r\n")
        client.wait()

    monkeypatch.setattr(TURNS, "wait", wait)
    with Scripted(script) as server:
        connection: Connection = connect(server)
        while connection.read_line() != b"end\r\n":
            pass
    assert bool(worked) is (octets > LONG)
    assert all(seconds >= 0 for seconds in worked)


def test_work_is_counted_by_the_thread_that_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5.0, 5.25, 5.25, 6.0, 6.0])
    worked: list[float] = []

    def wait(seconds: float, now: float) -> float:
        worked.append(seconds)
        return 0

    monkeypatch.setattr("time.thread_time", lambda: next(times))
    monkeypatch.setattr(TURNS, "wait", wait)
    turn = ReplyTurn()
    turn.take()
    turn.take()
    assert worked == [0.25, 0.75]
