"""A session over two folders of which one gives nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.model.outcomes import Outcome
from tests.collect.world import Broken, Server, World, broken

TEXTS = {str(uid): f"Subject: {uid}\r\n\r\nbody {uid}\r\n".encode() for uid in range(1, 9)}
LATER = {"7": b"Subject: 7\r\n\r\nfrom the archive\r\n"}


@pytest.mark.parametrize(
    ("inbox", "archive", "breaking", "collected"),
    [
        pytest.param(TEXTS, LATER, "fetch", 1, id="of the first nothing comes"),
        pytest.param(TEXTS, LATER, "fetch from Archive", 8, id="of the second nothing comes"),
    ],
)
def test_the_other_one_is_collected(
    inbox: Mapping[str, bytes], archive: Mapping[str, bytes], breaking: str, collected: int
) -> None:
    made = World(Server(messages=dict(inbox), archive=dict(archive)))
    report = made.session(Broken(error=broken, only=(breaking,), most=1000))
    assert report.outcome is Outcome.SUCCEEDED
    assert report.collected == len(made.mailboxes.texts()) == collected


@pytest.mark.parametrize("archive", [{}, LATER], ids=["one is empty", "both fail"])
def test_where_nothing_comes_the_session_fails(archive: Mapping[str, bytes]) -> None:
    made = World(Server(messages=dict(TEXTS), archive=dict(archive)))
    failing = ("fetch", "fetch from Archive")
    report = made.session(Broken(error=broken, only=failing, most=1000))
    assert report.outcome is Outcome.FAILED
    assert report.error is not None
    assert report.error.reason == "ConnectionFailed"
    told = [note for note in report.notes if "nothing comes" in note]
    assert [note.partition(":")[0] for note in told] == ["INBOX"]


def test_what_one_folder_lost_does_not_count_for_the_next_one() -> None:
    archive = {f"a{uid}": f"Subject: {uid}\r\n\r\n{uid}\r\n".encode() for uid in range(9)}
    made = World(Server(messages=dict(TEXTS), archive=dict(archive)))
    made.server.breaking = {*TEXTS, "a0", "a4"}
    report = made.session()
    assert report.outcome is Outcome.SUCCEEDED
    assert len(made.mailboxes.texts()) == 7
