"""Whatever happens in whatever order: mail that arrives, sessions that die at any step, connections
that break, a full disk, changes of mode and limit, `clear`. A model says what must have been
delivered."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from reconciler.collect.incoming_message import fingerprint
from reconciler.model.messages import Fingerprint
from reconciler.model.outcomes import Outcome
from tests.collect.world import Crash, Fate, MemoryLedger, Server, World, broken

Mode = Literal["all-delete", "new-delete", "new-keep"]
MODES: list[Mode] = ["all-delete", "new-delete", "new-keep"]
REMOTE = (
    "list",
    "headers",
    "fetch",
    "half a message",
    "before delete",
    "after delete",
    "before quit",
    "after quit",
)
PATIENCE = 4
"""So many sessions may fail on a message's account: the next one would park it until the manifest
changes."""


@dataclass
class Doom(Fate):
    """From the step `at` on nothing happens any more, whatever is tried; with `only`, nothing of
    these steps."""

    only: tuple[str, ...] = ()

    def step(self, name: str) -> None:
        self.steps.append(name)
        if 0 <= self.at < len(self.steps) and (not self.only or name in self.only):
            raise self.error()


class Mailbox(RuleBasedStateMachine):
    """`owed` counts, by content, the copies that must have been delivered once everything has come
    to rest."""

    @initialize(
        protocol=st.sampled_from(["imap", "pop3"]),
        mode=st.sampled_from(MODES),
        batch=st.sampled_from([1, 2, 100]),
    )
    def begin(self, protocol: str, mode: Mode, batch: int) -> None:
        self.world = World(Server(protocol), batch_size=batch)
        self.world.task = replace(self.world.task, mode=mode)
        self.numbers = iter(range(1, 1_000_000))
        self.owed: Counter[bytes] = Counter()
        self.failures = 0

    # -- what happens

    @rule(content=st.integers(0, 3) | st.none(), count=st.integers(1, 3))
    def mail_arrives(self, content: int | None, count: int) -> None:
        """Some of it is the same as other mail, octet for octet: two such messages are two. Not
        where a death has kept the ledger from hearing of a deletion: then a twin would pass for the
        deleted message under a new number."""
        if self._thought_there() - Counter(
            fingerprint([text]) for text in self.world.server.messages.values()
        ):
            content = None
        for _ in range(count):
            number = next(self.numbers)
            subject = number if content is None else "twin"
            text = f"Subject: {subject}\r\n\r\nbody {content}\r\n".encode()
            self.world.server.messages[str(number)] = text
            self.owed[_stored(text)] += 1

    @rule()
    def session(self) -> None:
        self.failures += self.world.full
        report = self.world.session()
        assert report.outcome is Outcome.SUCCEEDED or self.world.full

    @rule(at=st.integers(0, 40))
    def session_that_dies(self, at: int) -> None:
        self.failures += self.world.full
        with suppress(Crash):
            self.world.session(Doom(at=at))

    @precondition(lambda self: self.failures < PATIENCE)
    @rule(at=st.integers(0, 20))
    def session_whose_connection_breaks(self, at: int) -> None:
        self.failures += 1
        self.world.session(Doom(at=at, error=broken, only=REMOTE))

    @rule()
    def the_disk_fills_or_is_emptied(self) -> None:
        self.world.full = not self.world.full

    @rule(mode=st.sampled_from(MODES))
    def mode_changes(self, mode: Mode) -> None:
        """Into all-delete a new history begins, as the registry sees to it."""
        if mode == "all-delete" != self.world.task.mode:
            self.history_is_cleared()
        self.world.task = replace(self.world.task, mode=mode)

    @rule(limit=st.sampled_from([0, 1, 2, 5]))
    def limit_changes(self, limit: int) -> None:
        self.world.task = replace(self.world.task, limit=limit)

    @rule()
    def history_is_cleared(self) -> None:
        """What is on the server counts as new, whether it was delivered or not."""
        self.owed = self._delivered() + self._on_server()
        self.world.ledger = MemoryLedger(number=self.world.ledger.number + 1)

    @precondition(lambda self: self.world.server.messages)
    @rule(data=st.data())
    def somebody_deletes_a_message(self, data: st.DataObject) -> None:
        """One of which there are no twins: else nobody could say which copy is owed."""
        texts = Counter(self.world.server.messages.values())
        single = [
            key
            for key, text in self.world.server.messages.items()
            if texts[text] == 1 and b"twin" not in text
        ]
        if single:
            text = _stored(self.world.server.messages.pop(data.draw(st.sampled_from(single))))
            self.owed[text] = self._delivered()[text]

    @precondition(lambda self: self.failures < PATIENCE and self.world.server.messages)
    @rule(data=st.data())
    def the_server_refuses_a_message(self, data: st.DataObject) -> None:
        self.failures += 1
        self.world.server.refuse = {data.draw(st.sampled_from(sorted(self.world.server.messages)))}
        self.world.session()
        self.world.server.refuse = set()

    @precondition(lambda self: self.world.batch_size > 1)
    @rule(
        protocol=st.sampled_from(["imap", "pop3"]),
        host=st.sampled_from(["", "moved."]),
        top=st.booleans(),
        backwards=st.booleans(),
    )
    def the_server_numbers_anew(self, protocol: str, host: str, top: bool, backwards: bool) -> None:
        """And is another one, perhaps, or one spoken to otherwise. Where batches are of one, as by
        LMTP, a death in the middle of one and new numbers together may double that message. Not
        where a death has kept the ledger from hearing of a deletion, and a twin is left: under its
        new number that would pass for the deleted message."""
        server = self.world.server
        if self._unheard() & {
            fingerprint([text]) for text in server.messages.values() if b"twin" in text
        }:
            return
        texts = list(server.messages.values())
        server.messages = {
            str(next(self.numbers)): text for text in (reversed(texts) if backwards else texts)
        }
        server.validity += 1
        server.protocol, server.top = protocol, top
        server.account = replace(server.account, host=f"{host}mail.example.org")

    # -- what must hold

    @invariant()
    def nothing_is_doubled(self) -> None:
        assert self._delivered() <= self.owed

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is owed and not delivered is still on the server."""
        assert self.owed - self._delivered() <= self._on_server()

    def teardown(self) -> None:
        """At rest everything is where it belongs."""
        if not hasattr(self, "world"):
            return
        self.world.full = False
        kept = dict(self.world.server.messages) if self.world.task.mode == "new-keep" else {}
        for _ in range(len(self.world.server.messages) + 3):
            report = self.world.session()
            assert report.outcome is Outcome.SUCCEEDED
        assert (report.collected, report.left, report.failed, report.parked) == (0, 0, 0, 0)
        assert self._delivered() == +self.owed
        assert self.world.server.messages == kept

    def _thought_there(self) -> Counter[Fingerprint]:
        return Counter(
            row.print
            for row in self.world.ledger.rows.values()
            if row.print and row.print.content and not row.entry.deleted
        )

    def _unheard(self) -> set[Fingerprint]:
        """What is deleted, or has another number by now, without the ledger knowing."""
        return {
            row.print
            for (_, key, _), row in self.world.ledger.rows.items()
            if row.print and not row.entry.deleted and key not in self.world.server.messages
        }

    def _delivered(self) -> Counter[bytes]:
        return Counter(self.world.mailboxes.texts())

    def _on_server(self) -> Counter[bytes]:
        return Counter(map(_stored, self.world.server.messages.values()))


def _stored(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n")


def test_nothing_is_lost_or_doubled_whatever_happens() -> None:
    run_state_machine_as_test(
        Mailbox,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
