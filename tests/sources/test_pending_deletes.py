"""POP3: which messages may be deleted, and which deletes took place, of a dialogue in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.model.errors import ConnectionFailed
from reconciler.model.messages import Deletion, Listed
from reconciler.sources.pop3 import pop3_deletion
from reconciler.sources.pop3.maildrop import Maildrop
from reconciler.sources.pop3.pop3_deletion import PendingDeletes

A, B, C = Listed("a", 10), Listed("b", 10, ambiguous=True), Listed("c", 10)


class Dialogue:
    """Refuses these commands, and breaks at `broken`."""

    def __init__(self, *refused: bytes, owed: int = 0, broken: bytes = b"") -> None:
        self.sent: list[bytes] = []
        self.owed = owed
        self._refused = refused
        self._broken = broken
        self._waiting: list[bytes] = []

    def send(self, *commands: bytes) -> None:
        self.sent.extend(commands)
        self._waiting.extend(commands)

    def answer(self) -> Any:
        return self._reply(self._waiting.pop(0))

    def command(self, command: bytes) -> Any:
        self.sent.append(command)
        return self._reply(command)

    def _reply(self, command: bytes) -> Any:
        if command == self._broken:
            raise ConnectionFailed("the connection broke")
        return SimpleNamespace(ok=command not in self._refused)

    def quote(self, _: object) -> str:
        return "no"


def maildrop(*listed: Listed, stable: bool = True) -> Maildrop:
    numbers = {each.key: number for number, each in enumerate(listed, 1)}
    return Maildrop(listed, numbers, keys_stable=stable)


def deletes(dialogue: Dialogue) -> PendingDeletes:
    made: Any = dialogue
    return PendingDeletes(made)


@pytest.mark.parametrize(
    ("listed", "stable", "retrieved", "reason"),
    [
        pytest.param(A, True, None, "", id="known by its UIDL"),
        pytest.param(B, True, None, "its UIDL does not tell it", id="of several with a UIDL"),
        pytest.param(B, True, "", "", id="of several, retrieved"),
        pytest.param(A, False, None, "its UIDL does not tell it", id="without UIDL"),
        pytest.param(A, False, "", "", id="without UIDL, retrieved"),
        pytest.param(A, True, "sizes differ", "sizes differ", id="doubted"),
        pytest.param(C, True, "", "it is not on the server", id="gone"),
    ],
)
def test_P2_which_messages_may_be_deleted(
    listed: Listed, stable: bool, retrieved: str | None, reason: str
) -> None:
    dialogue = Dialogue()
    pending = deletes(dialogue)
    if retrieved is not None:
        pending.note_retrieved(listed, retrieved)
    found = pending.mark(maildrop(A, B, stable=stable), [listed], pipelined=True)
    assert found.pending == (frozenset() if reason else {listed.key})
    assert [(key, why.startswith(reason)) for key, why in found.refused] == (
        [(listed.key, True)] if reason else []
    )
    assert dialogue.sent == ([] if reason else [b"DELE %d" % (1 if listed is A else 2)])


@pytest.mark.parametrize("pipelined", [True, False])
def test_a_refused_delete_is_told_and_the_others_are_pending(
    pipelined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pop3_deletion, "_AT_ONCE", 2)
    many = [Listed(str(number), 10) for number in range(1, 6)]
    dialogue = Dialogue(b"DELE 2")
    pending = deletes(dialogue)
    found = pending.mark(maildrop(*many), many, pipelined=pipelined)
    assert found == Deletion(
        pending=frozenset({"1", "3", "4", "5"}), refused=(("2", "DELE refused: no"),)
    )
    assert dialogue.sent == [*(b"DELE %d" % number for number in range(1, 6)), b"NOOP"]
    assert pending.quit(connected=True) == Deletion(confirmed=frozenset({"1", "3", "4", "5"}))
    assert pending.quit(connected=True) == Deletion()


@pytest.mark.parametrize(
    ("dialogue", "reason"),
    [
        pytest.param(Dialogue(), "", id="accepted"),
        pytest.param(Dialogue(b"QUIT"), "QUIT refused: no", id="refused"),
        pytest.param(Dialogue(owed=1), "the session was broken off", id="out of step"),
        pytest.param(Dialogue(broken=b"QUIT"), "the connection broke", id="broken"),
    ],
)
def test_P9_deletes_count_once_the_server_took_its_leave(dialogue: Dialogue, reason: str) -> None:
    pending = deletes(dialogue)
    pending.mark(maildrop(A, C), [A, C], pipelined=True)
    found = pending.quit(connected=True)
    if reason:
        assert found == Deletion(refused=(("a", reason), ("c", reason)))
    else:
        assert found == Deletion(confirmed=frozenset("ac"))
    assert (b"QUIT" in dialogue.sent) is not bool(dialogue.owed)


def test_where_nothing_was_refused_nothing_more_is_asked() -> None:
    dialogue = Dialogue()
    pending = deletes(dialogue)
    pending.mark(maildrop(A), [A, C], pipelined=True)
    assert dialogue.sent == [b"DELE 1"]


def test_where_no_server_was_reached_nothing_is_sent() -> None:
    dialogue = Dialogue()
    assert deletes(dialogue).quit(connected=False) == Deletion()
    assert dialogue.sent == []
