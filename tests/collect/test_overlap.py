"""Batches that overlap: one is committed and recorded while the next one is fetched and staged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from reconciler.model.errors import DestinationUnavailable, LedgerUnavailable
from reconciler.model.messages import Deletion, Folder, Listed
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Outcome
from tests.collect.test_session import MODES, PROTOCOLS, STORED, Mode, world
from tests.collect.world import (
    Crash,
    Fate,
    Helm,
    MemoryDestination,
    MemorySource,
    MemoryStaged,
    World,
    accept,
    broken,
)


def overlapping(mode: Mode = "new-keep", protocol: str = "imap") -> World:
    """Five messages in batches of two."""
    here = world(mode, protocol)
    here.batch_size = 2
    return here


def steps(mode: Mode, protocol: str) -> list[tuple[str, int]]:
    """Each step of a session by its name and how often that came before: in which order two threads
    take theirs is not certain."""
    whole = Fate()
    overlapping(mode, protocol).session(whole)
    return [
        (name, nth) for name, count in Counter(whole.steps).items() for nth in range(1, count + 1)
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_D13_a_crash_at_every_step_loses_and_doubles_nothing(
    mode: Mode, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemorySource, "delete", _only_what_is_recorded(monkeypatch))
    for step in steps(mode, protocol):
        here = overlapping(mode, protocol)
        with pytest.raises(Crash):
            here.session(Fate(on=step))
        here.session()
        assert here.mailboxes.texts() == STORED, step
        assert (here.server.messages == {}) == (mode != "new-keep"), step


@pytest.mark.parametrize(
    "error", [broken, lambda: LedgerUnavailable("locked"), lambda: DestinationUnavailable("full")]
)
@pytest.mark.parametrize("mode", MODES)
def test_a_failure_at_every_step_loses_and_doubles_nothing(
    mode: Mode, error: type[Exception]
) -> None:
    fitting = {
        "ConnectionFailed": ("list", "fetch", "half a message", "before delete"),
        "LedgerUnavailable": ("before record", "after record", "before record of deletion"),
        "DestinationUnavailable": ("before commit",),
    }
    for name, nth in steps(mode, "imap"):
        if name not in fitting[error().reason]:  # type: ignore[attr-defined]
            continue
        here = overlapping(mode)
        report = here.session(Fate(on=(name, nth), error=error))
        recovered = name in ("fetch", "half a message", "before delete")
        assert report.outcome is (Outcome.SUCCEEDED if recovered else Outcome.FAILED), name
        here.session()
        here.session()
        assert here.mailboxes.texts() == STORED, (name, nth)
        assert (here.server.messages == {}) == (mode != "new-keep"), (name, nth)


def _only_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> object:
    """`delete`, which also looks that everything it is given was delivered before, and that is
    recorded."""
    worlds: list[World] = []
    delete, session = MemorySource.delete, World.session

    def watched(self: World, *arguments: object) -> object:
        worlds[:] = [self]
        return session(self, *arguments)  # type: ignore[arg-type]

    def checked(self: MemorySource, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        known = worlds[0].ledger.known("sales", folder)
        assert all(known[message.key].state == "collected" for message in messages)
        return delete(self, folder, messages)

    monkeypatch.setattr(World, "session", watched)
    return checked


def test_the_next_batch_is_fetched_while_one_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = threading.Event()
    commit = MemoryDestination.commit

    def slow(
        self: MemoryDestination, staged: Sequence[MemoryStaged]
    ) -> Iterator[tuple[MemoryStaged, tuple[DeliveryOutcome, ...]]]:
        if self.fate.steps.count("before commit") < 2:
            assert fetched.wait(30)
        yield from commit(self, staged)

    class Watching(Fate):
        def step(self, name: str) -> None:
            super().step(name)
            if self.steps.count("staged") == 4:
                fetched.set()

    monkeypatch.setattr(MemoryDestination, "commit", slow)
    assert overlapping().session(Watching()).collected == 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("commit")]


def test_no_more_than_two_batches_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    here = overlapping()
    open_ones: list[int] = []

    def verdict(recipient: str) -> Delivered:
        open_ones.append(len(here.destination.open))
        return Delivered(recipient, "file")

    here.verdict = verdict
    here.session()
    assert max(open_ones) <= 4


def test_a_session_that_is_stopped_keeps_what_it_has_fetched() -> None:
    here = overlapping("new-delete")
    report = here.session(helm=Helm(stop_after=2))
    assert (report.outcome, report.error) == (Outcome.INTERRUPTED, None)
    assert report.collected + report.left == 5
    assert here.session().left == 0
    assert here.mailboxes.texts() == STORED


def test_messages_that_cannot_be_recognised_are_recorded_one_by_one() -> None:
    here = world()
    here.batch_size = 1
    fate = Fate()
    here.session(fate)
    order = [step for step in fate.steps if step in ("staged", "before commit", "after record")]
    assert (
        order == ["staged", "after record", "before commit", "after record"] * 5
    )  # recorded as begun, too


def test_a_batch_is_full_when_enough_octets_are_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.collect.message_batches.BATCH_OCTETS", 2 * len(STORED[0]))
    here = world()
    here.task = replace(here.task, limit=4)
    fate = Fate()
    assert here.session(fate).collected == 4
    assert fate.steps.count("settle") == 2


@pytest.mark.parametrize("mode", MODES)
def test_M3_what_cannot_be_recorded_as_begun_is_not_delivered(mode: Mode) -> None:
    """By LMTP and SMTP a repeat is a copy: the ledger's disk is full, session after session."""
    here = world(mode)
    here.batch_size = 1
    for _ in range(5):
        report = here.session(
            Fate(on=("before record", 1), error=lambda: LedgerUnavailable("disk full"))
        )
        assert report.error is not None
        assert report.error.reason == "LedgerUnavailable"
    assert here.mailboxes.texts() == []
    assert len(here.server.messages) == 5
    here.session()
    assert here.mailboxes.texts() == STORED


@pytest.mark.parametrize("ignores_pauses", [False, True], ids=["daemon", "run --once"])
def test_M6_a_message_that_is_never_answered_waits_longer_each_time(ignores_pauses: bool) -> None:
    """The receiver takes it, and drops the connection: twice at once, then after pauses; the others
    flow."""
    here = world("new-delete")
    here.batch_size = 1
    copies: list[datetime] = []
    (poison,) = [
        key
        for key, text in here.server.messages.items()
        if text.replace(b"\r\n", b"\n") == STORED[2]
    ]

    def verdict(recipient: str) -> DeliveryOutcome:
        if here.destination.open[-1].message.key != poison:
            return Delivered(recipient, "file")
        copies.append(here.now)
        return Deferred(recipient, "no answer to the message", unsure=True)

    here.verdict = verdict
    for seconds in (5, *[60] * 720):
        here.session(helm=Helm(ignores_pauses=ignores_pauses))
        here.now += timedelta(seconds=seconds)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(copies)]
    assert waits[:4] == [5, 300, 900, 1800]
    assert all(later > earlier for earlier, later in pairwise(waits))
    assert len(copies) < 10
    assert len(here.mailboxes.texts()) == 4
    assert list(here.server.messages) == [poison]
    here.verdict = accept
    here.session(helm=Helm(ignores_pauses=True, repeats_unanswered=True))
    assert sorted(here.mailboxes.texts()) == sorted(STORED)
