"""Messages that are asked for again, to find out whether the server gives anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.collect.server_probe import ServerProbe
from reconciler.model.messages import Arrival, Fetched, Listed, Pace, Unfetched, Vanished

ONE, TWO, THREE = (Listed(key, 10 * int(key)) for key in "123")


class Server:
    """Gives the messages that are still on it, and remembers what it was asked for."""

    def __init__(self, *there: Listed) -> None:
        self.there = there
        self.asked: list[str] = []

    def fetch(self, _: object, messages: Sequence[Listed], pace: Pace) -> Iterator[Fetched]:
        assert pace is Pace.SINGLY
        for listed in messages:
            self.asked.append(listed.key)
            yield Arrival(listed, iter((b"text",))) if listed in self.there else Vanished(listed)


def probe(server: Server, *collected: Listed) -> ServerProbe[Any]:
    context: Any = SimpleNamespace(source=server)
    connection: Any = SimpleNamespace(
        last_fetched=None, ensure_connected=lambda: None, command=nullcontext
    )
    work: Any = SimpleNamespace(folder=None, collected=collected)
    return ServerProbe(context, connection, SimpleNamespace(arrived=0), work)  # type: ignore[arg-type]


def test_a_message_that_was_deleted_is_no_probe() -> None:
    server = Server(TWO)
    tested = probe(server)
    tested.add(ONE)
    tested.add(TWO)
    tested.forget({"1"})
    assert tested.server_gives() is True
    assert server.asked == ["2"]


def test_without_any_message_that_came_the_one_that_is_kept_is_asked_for() -> None:
    server = Server(ONE)
    tested = probe(server, THREE)
    assert tested.keep_one([ONE, TWO]) == [TWO]
    assert tested.server_gives() is True
    assert server.asked == ["1"]


def test_without_anything_that_came_one_of_an_earlier_session_is_asked_for() -> None:
    server = Server(THREE)
    tested = probe(server, THREE)
    tested.forget(())
    assert tested.server_gives() is True
    assert server.asked == ["3"]


def test_the_smallest_messages_are_asked_for() -> None:
    server = Server()
    assert probe(server, THREE, ONE, Listed("4", 0), TWO).server_gives() is None
    assert server.asked == ["1", "2"]


class Odd(Server):
    """Answers by the message's key."""

    def fetch(self, _: object, messages: Sequence[Listed], pace: Pace) -> Iterator[Fetched]:
        for listed in messages:
            self.asked.append(listed.key)
            match listed.key:
                case "1":
                    yield Unfetched(listed, "NO")
                case "2":
                    yield Arrival(listed, iter((b"",)))
                case "3":
                    yield Vanished(listed)
                case _:
                    yield Arrival(listed, iter((b"", b"text")))


@pytest.mark.parametrize(
    ("keys", "gives"),
    [
        pytest.param("1", False, id="refused"),
        pytest.param("2", False, id="empty"),
        pytest.param("3", None, id="deleted by somebody"),
        pytest.param("31", False, id="one deleted, one refused"),
        pytest.param("13", False, id="one refused, one deleted"),
        pytest.param("24", True, id="an empty one, then one that comes"),
        pytest.param("", None, id="nothing to ask for"),
    ],
)
def test_whether_the_server_gives_anything(keys: str, gives: bool | None) -> None:
    server = Odd()
    tested = probe(server)
    for size, key in enumerate(keys, 1):
        tested.add(Listed(key, size))
    assert tested.server_gives() is gives
    assert server.asked == list(keys)
