"""What a check tells: its steps, what is in the folders, and what a first session would do."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec.structs import replace

from reconciler.collect.account_check import AccountCheck
from reconciler.model.errors import CollectorError, DestinationUnavailable, SourceUnavailable
from reconciler.model.status import CheckedFolder, CheckReport
from tests.collect.world import Fate, MemorySource, Server, World, broken

TEXTS = {str(uid): f"Subject: {uid}\r\n\r\nbody {uid}\r\n".encode() for uid in range(1, 6)}
OCTETS = sum(map(len, TEXTS.values()))
STEPS = ["secret", "log in and list", "destination"]


def world(mode: Literal["all-delete", "new-delete", "new-keep"], protocol: str = "imap") -> World:
    made = World(Server(protocol, dict(TEXTS), archive={"9": b"Subject: 9\r\n\r\nlast\r\n"}))
    made.task = replace(made.task, mode=mode, limit=2)
    return made


def check(
    made: World,
    *,
    fails: str = "",
    error: CollectorError | None = None,
    fate: Fate | None = None,
    new: bool = False,
) -> CheckReport:
    def step(name: str, said: str) -> str:
        if name == fails:
            assert error is not None
            raise error
        return said

    source = MemorySource(made.server, fate or Fate())
    report = AccountCheck(made.task, None if new else made.ledger).run(
        lambda: step("secret", "") or None, lambda: source, lambda: step("destination", "a Maildir")
    )
    assert source.closed == ("" if fails == "secret" else "aborted")
    return report


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("new-keep", "would collect 2 of 6 messages, leave 4 for later, and delete nothing"),
        (
            "new-delete",
            "would collect 2 of 6 messages, leave 4 for later, and delete 2 from the server",
        ),
    ],
)
def test_what_the_first_session_would_do(
    mode: Literal["new-delete", "new-keep"], said: str, new: bool
) -> None:
    report = check(world(mode), new=new)
    assert report.ok
    assert [(step.step, step.ok, step.message) for step in report.steps] == [
        ("secret", True, "found"),
        ("log in and list", True, "6 messages in 2 folders"),
        ("destination", True, "a Maildir"),
    ]
    assert report.folders == (
        CheckedFolder(name="INBOX", messages=5, bytes=OCTETS, new=5, skipped=0),
        CheckedFolder(name="Archive", messages=1, bytes=20, new=1, skipped=0),
    )
    assert (report.first_session, report.error, report.notes) == (said, None, ())


def test_what_was_collected_is_not_new_and_would_be_deleted() -> None:
    made = world("new-keep")
    made.session()
    made.task = replace(made.task, mode="new-delete")
    report = check(made)
    assert [(folder.new, folder.skipped) for folder in report.folders] == [(3, 2), (1, 0)]
    assert "collect 2 of 6" in report.first_session
    assert "delete 4 from the server" in report.first_session


@pytest.mark.parametrize(
    ("fails", "error", "reached"),
    [
        ("secret", SourceUnavailable("no such file"), 1),
        ("log in and list", None, 2),
        ("destination", DestinationUnavailable("the disk is full"), 3),
    ],
)
def test_the_step_that_fails_is_the_last_one(
    fails: str, error: CollectorError | None, reached: int
) -> None:
    fate = Fate(on=("list", 1), error=broken) if error is None else None
    report = check(world("new-keep"), fails=fails, error=error, fate=fate)
    assert not report.ok
    assert [step.step for step in report.steps] == STEPS[:reached]
    assert [step.ok for step in report.steps] == [True] * (reached - 1) + [False]
    assert report.steps[-1].message == str(error or broken())
    assert report.error is not None
    assert report.first_session == ""


def test_what_reading_by_pop3_means_is_noted() -> None:
    made = World(Server("pop3", dict(TEXTS)))
    [note] = check(made).notes
    assert "RETR" in note


@pytest.mark.parametrize("collected", [True, False])
def test_that_earlier_messages_will_be_compared_is_noted(collected: bool) -> None:
    made = World(Server(messages=dict(TEXTS)), task=world("new-keep").task)
    if collected:
        made.session()
    made.server.validity = 2
    assert [("recognised" in note) for note in check(made).notes] == [True] * collected
    assert check(made, new=True).notes == ()


def test_earlier_messages_that_are_gone_are_of_no_concern_where_nothing_is_unknown() -> None:
    made = World(Server(messages=dict(TEXTS)), task=world("new-keep").task)
    for _ in range(3):
        made.session()
    del made.server.messages["1"]
    made.server.validity = 2
    for _ in range(3):
        made.session()
    assert check(made).notes == ()
