"""The unchanged check: when a session need not list the account, and when it
must list."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from reconciler.collect.unchanged_check import BELIEVED
from reconciler.model.outcomes import Entry, MessageState, SessionReport
from tests.collect.world import NOW, Fate, World, everything_to


def world(mode: str = "new-keep", **task: object) -> World:
    found = World()
    found.server.messages = {"1": b"Subject: one\n\n1\n", "2": b"Subject: two\n\n2\n"}
    found.task = replace(found.task, mode=mode, digest="d1", **task)
    return found


def listed(at: World) -> tuple[SessionReport, bool]:
    """A session, and whether it listed."""
    fate = Fate()
    report = at.session(fate)
    return report, "list" in fate.steps


def test_after_a_session_with_nothing_to_do_none_lists_until_something_changes() -> None:
    at = world()
    assert listed(at)[1]  # collects
    assert listed(at)[1]  # finds nothing to do, and keeps how it stands
    report, did_list = listed(at)
    assert not did_list
    assert (report.listed, dict(report.skipped_reasons), report.left) == (
        2,
        {"collected-before": 2},
        0,
    )

    at.server.messages["3"] = b"Subject: three\n\n3\n"
    report, did_list = listed(at)
    assert did_list
    assert report.collected == 1
    assert len(at.mailboxes.texts()) == 3


def test_it_counts_as_the_session_that_listed() -> None:
    at = world(max_size=20)
    at.server.messages["3"] = b"x" * 100
    at.ledger.put(at.server.folder, Entry("2", MessageState.PARKED, reason="unknown-mailbox"))
    for _ in range(2):
        listed(at)
    full = at.session()
    report, did_list = listed(at)
    assert not did_list
    assert (
        (report.listed, report.parked, dict(report.skipped_reasons))
        == (full.listed, full.parked, dict(full.skipped_reasons))
        == (3, 1, {"collected-before": 1, "too-large": 1})
    )


@pytest.mark.parametrize("mode", ["new-delete", "all-delete"])
def test_modes_that_delete_poll_an_empty_account_cheaply(mode: str) -> None:
    at = world(mode)
    assert listed(at)[0].deleted == 2
    assert listed(at)[1]
    assert not listed(at)[1]


def test_another_spec_lists() -> None:
    at = world()
    for _ in range(3):
        listed(at)
    at.task = replace(at.task, digest="d2")
    assert listed(at)[1]


def test_a_day_later_it_lists_and_so_it_does_when_the_clock_went_back() -> None:
    at = world()
    for _ in range(3):
        listed(at)
    at.now = NOW + BELIEVED
    assert listed(at)[1]
    assert not listed(at)[1]
    at.now = NOW + timedelta(hours=1)
    assert listed(at)[1]


def test_what_is_left_over_lists() -> None:
    at = world(limit=1)
    assert listed(at)[0].left == 1
    assert listed(at)[0].collected == 1
    assert listed(at)[1]
    assert not listed(at)[1]


def test_retries_list_until_none_is_left() -> None:
    at = world()
    at.server.refuse = {"2"}
    for _ in range(4):
        assert listed(at)[0].failed == 1
    assert listed(at)[0].parked == 1  # given up
    assert listed(at)[1]
    report, did_list = listed(at)
    assert not did_list
    assert report.parked == 1


def test_a_server_that_refuses_deletes_is_listed_each_time() -> None:
    at = world("new-delete")
    at.server.doubt = {"1"}
    assert listed(at)[0].deleted == 1
    assert listed(at)[1]  # doubted: it stays there, and nothing is to be done about it
    assert not listed(at)[1]
    at.ledger.put(at.server.folder, Entry("1", MessageState.COLLECTED))
    at.ledger.kept = None
    assert listed(at)[0].deleted == 1


def test_a_crash_while_it_is_kept_costs_a_listing_and_no_more() -> None:
    at = world()
    listed(at)
    fate = Fate(error=RuntimeError)
    at.session(fate)
    fate = Fate(at=fate.steps.index("keep the account's state"), error=RuntimeError)
    at.ledger.kept = None
    with pytest.raises(RuntimeError):
        at.session(fate)
    assert listed(at)[1]
    assert not listed(at)[1]


def test_without_a_digest_or_an_account_state_every_session_lists() -> None:
    at = world()
    at.task = replace(at.task, digest="")
    assert all(listed(at)[1] for _ in range(4))
    at = world("all-delete", route=everything_to("a@here"))
    at.server.uidl = False
    assert all(listed(at)[1] for _ in range(4))


def test_what_a_listing_notes_is_told_by_every_session() -> None:
    here = world()
    here.server.notes = ["2 messages are left alone"]
    for _ in range(4):
        assert here.session().notes == ("2 messages are left alone",)
