"""Sessions in threads: whatever they do, there is a report."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from reconciler.collect.backoff import next_backoff
from reconciler.control.contained_defects import INTERNAL_ERROR
from reconciler.control.event_loop import Clock
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import RunSession, SessionPool
from reconciler.control.session_request import SessionRequest
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import DeclaredCollector, Declaring, History
from reconciler.model.outcomes import Failure, Outcome, SessionReport, Totals
from reconciler.planning.desired_state import DesiredCollector, desire
from tests.captured_logs import capture_logs
from tests.control.doubles import MemoryRegistry, report
from tests.planning.build import collector, observed

A = desire(observed(collector("a")), {}).collectors["a"]
CLOCK = Clock()


def pool(run_session: RunSession, registry: MemoryRegistry | None = None) -> SessionPool:
    registry = registry or MemoryRegistry()
    registry.declare_all([Declaring("a", A.digest, "new-keep")], CLOCK.now())
    return SessionPool(run_session, next_backoff, registry, 2, CLOCK.now)


def good(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
    return report(CLOCK.now(), CLOCK.now())


def test_a_defect_ends_in_a_report_and_its_text_is_shown_to_nobody() -> None:
    def session(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
        raise ValueError("canary password")

    sessions = pool(session)
    with capture_logs() as logs:
        finished = sessions.session(SessionRequest(A))
    assert finished.report.outcome is Outcome.FAILED
    assert finished.report.error is not None
    assert finished.report.error.reason == INTERNAL_ERROR
    assert finished.retry is not None
    assert "ValueError" in str(logs)
    assert "test_session_pool.py" in str(logs)
    assert "canary" not in f"{logs}{finished}"


def refused(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
    return report(CLOCK.now(), CLOCK.now(), Failure("AuthenticationFailed", "wrong password"))


def test_a_refused_secret_is_remembered_by_its_stamp_and_a_changed_one_begins_afresh() -> None:
    stamps = ["one"]
    sessions = pool(refused)
    sessions.stamp = lambda _: stamps[0]
    first = sessions.session(SessionRequest(A)).retry
    assert first is not None
    assert (first.stamp, first.failures) == ("one", 1)
    second = sessions.session(SessionRequest(A, first)).retry
    assert second is not None
    assert (second.stamp, second.failures) == ("one", 2)
    stamps[0] = "two"
    third = sessions.session(SessionRequest(A, second)).retry
    assert third is not None
    assert (third.stamp, third.failures) == ("two", 1)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ({"password": {"file": "f"}}, "before"),
        ({"oauth2": {"provider": "google", "clientId": "x"}}, "after"),
    ],
)
def test_a_session_that_writes_a_new_refresh_token_lifts_nothing(
    source: dict[str, Any], kept: str
) -> None:
    one = desire(
        observed(
            collector("a", source={"protocol": "imap", "host": "h", "username": "u", **source})
        ),
        {},
    )
    stamps = iter(["before", "after"])
    sessions = pool(refused)
    sessions.stamp = lambda _: next(stamps)
    retry = sessions.session(SessionRequest(one.collectors["a"])).retry
    assert retry is not None
    assert retry.stamp == kept


def test_a_back_off_of_the_network_has_no_stamp() -> None:
    def broken(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
        return report(CLOCK.now(), CLOCK.now(), Failure("ConnectionFailed", "gone"))

    retry = pool(broken).session(SessionRequest(A)).retry
    assert retry is not None
    assert retry.stamp is None


def test_an_error_of_the_ledger_is_a_failed_session() -> None:
    def session(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
        raise LedgerUnavailable("the disk is full")

    finished = pool(session).session(SessionRequest(A))
    assert finished.report.error is not None
    assert (finished.report.error.reason, finished.report.error.message) == (
        "LedgerUnavailable",
        "the disk is full",
    )


def test_every_session_has_its_line_in_the_log() -> None:
    with capture_logs() as logs:
        pool(good).session(SessionRequest(A))
    [line] = [line for line in logs if line["event"] == "session"]
    assert (line["collector"], line["collected"], line["listed"]) == ("a", 3, 3)


def test_a_back_off_is_kept_and_dropped_and_parked_mail_is_tried_again_with_a_new_spec() -> None:
    registry = MemoryRegistry()

    def failing(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
        raise LedgerUnavailable("gone")

    retry = pool(failing, registry).session(SessionRequest(A)).retry
    assert registry.rows["a"].retry == retry is not None
    pool(good, registry).session(SessionRequest(A, retry, unpark=True))
    assert registry.rows["a"].retry is None
    assert registry.unparked == ["a"]


def test_a_session_is_steered_from_the_event_loop() -> None:
    aborted = threading.Event()

    def session(_collector: DesiredCollector, control: SessionControl) -> SessionReport:
        control.on_give_up(aborted.set)
        control.progress(report(CLOCK.now(), CLOCK.now()))
        assert aborted.wait(60)
        assert control.stopping
        return report(CLOCK.now(), CLOCK.now())

    async def scenario() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(_report: SessionReport) -> None:
            loop.call_soon_threadsafe(told.set)

        control = SessionControl(tell)
        running = asyncio.ensure_future(pool(session).run(SessionRequest(A, control=control)))
        await told.wait()
        assert not control.stopping
        control.give_up()
        assert (await running).report.outcome is Outcome.SUCCEEDED

    asyncio.run(scenario())


def test_history_of_the_double_is_what_the_interface_says() -> None:
    registry = MemoryRegistry()
    registry.declare_all([Declaring("a", "digest", "new-keep")], CLOCK.now())
    assert registry.histories() == {
        "a": History(DeclaredCollector("a", 1, 1), Totals(), None, None, 0)
    }


def test_the_log_tells_of_a_stalled_login_and_of_one_that_is_well_again() -> None:
    sessions = pool(refused)
    with capture_logs() as logs:
        retry = sessions.session(SessionRequest(A)).retry
    assert retry is not None
    (stalled,) = (one for one in logs if one["event"] == "stalled")
    assert (stalled["collector"], stalled["reason"], stalled["log_level"]) == (
        "a",
        "AuthenticationFailed",
        "warning",
    )
    assert stalled["until"].startswith(f"{retry.next_attempt:%Y-%m-%dT%H:%M:%S}")
    assert any(one["event"] == "session begins" and one["log_level"] == "debug" for one in logs)

    with capture_logs() as logs:
        pool(good).session(SessionRequest(A, retry))
        pool(good).session(SessionRequest(A))
    assert [one["after"] for one in logs if one["event"] == "recovered"] == [1]
