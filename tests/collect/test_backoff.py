"""When a collector is tried again after a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from reconciler.collect.backoff import (
    backoff_after_check,
    end_time,
    forbids,
    next_backoff,
    remaining,
)
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def failed(reason: str, retry_after: float | None = None) -> SessionReport:
    return SessionReport(NOW, NOW, Outcome.FAILED, error=Failure(reason, "it failed", retry_after))


def delays(
    reason: str, times: int, interval: float = 300.0, retry_after: float | None = None
) -> list[float]:
    """Seconds until the next attempt after each of so many failures in a row, chance left out."""
    retry: Retry | None = None
    seconds = []
    for _ in range(times):
        retry = next_backoff(
            failed(reason, retry_after), retry, "digest", interval, NOW, chance=lambda: 0.0
        )
        assert retry is not None
        seconds.append((retry.next_attempt - NOW).total_seconds())
    return seconds


@pytest.mark.parametrize(
    ("reason", "interval", "expected"),
    [
        ("ConnectionFailed", 300.0, [60, 120, 240, 480, 900, 900]),
        ("ConnectionFailed", 5.0, [5, 10, 20, 40, 80, 160]),
        ("ConnectionFailed", 86400.0, [60, 120, 240, 480, 960, 1920]),
        ("AuthenticationFailed", 300.0, [3600, 7200, 14400, 28800, 57600, 86400]),
        ("Throttled", 300.0, [300, 600, 1200, 2400, 4800, 7200]),
        ("TlsRefused", 300.0, [600, 1200, 2400, 4800, 9600, 19200]),
    ],
)
def test_delays_grow_to_a_bound(reason: str, interval: float, expected: list[float]) -> None:
    assert delays(reason, 6, interval) == expected


def test_many_failures_do_not_overflow() -> None:
    assert delays("ConnectionFailed", 2000)[-1] == 900


def test_the_servers_own_wish_is_obeyed() -> None:
    assert delays("Throttled", 1, retry_after=1800.0) == [1800]


@pytest.mark.parametrize("reason", ["Throttled", "SourceUnavailable", "DestinationUnavailable"])
def test_the_servers_own_wish_holds_across_a_restart(reason: str) -> None:
    wanted = Retry(reason, "in ten minutes", 1, NOW + timedelta(seconds=600), "digest")
    assert remaining(wanted, 5, NOW) == 600


def test_a_login_refused_without_a_reason_counts_as_a_wrong_password_the_third_time() -> None:
    retry: Retry | None = None
    reasons = []
    for _ in range(5):
        retry = next_backoff(failed("LoginRefused"), retry, "digest", 300.0, NOW)
        assert retry is not None
        reasons.append((retry.reason, retry.failures))
    assert reasons == [
        ("LoginRefused", 1),
        ("LoginRefused", 2),
        ("AuthenticationFailed", 1),
        ("AuthenticationFailed", 2),
        ("AuthenticationFailed", 3),
    ]


def test_a_changed_spec_and_another_reason_begin_afresh() -> None:
    first = next_backoff(failed("AuthenticationFailed"), None, "old", 300.0, NOW)
    again = next_backoff(failed("AuthenticationFailed"), first, "new", 300.0, NOW)
    other = next_backoff(failed("ConnectionFailed"), first, "old", 300.0, NOW)
    assert again is not None
    assert other is not None
    assert (again.failures, other.failures) == (1, 1)


def test_success_ends_a_back_off_and_being_stopped_does_not() -> None:
    retry = next_backoff(failed("ConnectionFailed"), None, "digest", 300.0, NOW)
    assert (
        next_backoff(SessionReport(NOW, NOW, Outcome.SUCCEEDED), retry, "digest", 300.0, NOW)
        is None
    )
    assert (
        next_backoff(SessionReport(NOW, NOW, Outcome.INTERRUPTED), retry, "digest", 300.0, NOW)
        == retry
    )


def test_chance_adds_a_fifth_at_most() -> None:
    retry = next_backoff(failed("ConnectionFailed"), None, "digest", 300.0, NOW, chance=lambda: 1.0)
    assert retry is not None
    assert (retry.next_attempt - NOW).total_seconds() == pytest.approx(72)


@pytest.mark.parametrize(
    "reason", ["ConnectionFailed", "AuthenticationFailed", "Throttled", "Internal"]
)
def test_M8_what_a_clock_that_was_ahead_wrote_ends_when_its_schedule_does(reason: str) -> None:
    ahead = Retry(reason, "it failed", 1, NOW + timedelta(days=400), "digest")
    assert end_time(ahead, 300, NOW) == NOW + timedelta(seconds=remaining(ahead, 300, NOW))
    assert end_time(ahead, 300, NOW) < NOW + timedelta(days=2)
    right = Retry(reason, "it failed", 1, NOW - timedelta(seconds=1), "digest")
    assert end_time(right, 300, NOW) == right.next_attempt


@pytest.mark.parametrize(
    "reason",
    [
        "AccountNotReady",
        "LoginRefused",
        "AuthenticationFailed",
        "SourceFailed",
        "Throttled",
        "SourceUnavailable",
    ],
)
@pytest.mark.parametrize(("named", "obeyed"), [(2 * 3600, 2 * 3600), (40 * 86400, 86400)])
def test_a_time_that_the_server_named_holds_whatever_it_was_said_of_and_no_clock_makes_it_longer(
    reason: str, named: float, obeyed: float
) -> None:
    """The server said "Locked, try again in 2 hours".

    The time holds as decided, as kept, and when a clock that was ahead wrote it.
    """
    retry = next_backoff(failed(reason, named), None, "digest", 5.0, NOW, chance=lambda: 0.0)
    assert retry
    assert remaining(retry, 5.0, NOW) == obeyed
    ahead = replace(retry, next_attempt=NOW + timedelta(days=400))
    assert remaining(ahead, 5.0, NOW) <= 1.2 * obeyed
    assert forbids(retry, obeyed, force=False) == (
        reason not in {"SourceFailed", "SourceUnavailable"}
    )
    assert forbids(retry, obeyed, force=True) == (reason == "Throttled")


def test_an_interrupted_session_leaves_the_back_off_of_its_own_spec_alone() -> None:
    interrupted = SessionReport(NOW, NOW, Outcome.INTERRUPTED)
    retry = next_backoff(failed("Throttled"), None, "digest", 300.0, NOW)
    assert retry is not None
    assert next_backoff(interrupted, retry, "digest", 300.0, NOW) is retry
    assert next_backoff(interrupted, retry, "other", 300.0, NOW) is None
    assert next_backoff(interrupted, None, "digest", 300.0, NOW) is None


def test_a_check_teaches_what_the_server_says_to_logins_and_nothing_else() -> None:
    fine = SessionReport(NOW, NOW, Outcome.SUCCEEDED)
    refused = backoff_after_check(failed("AuthenticationFailed"), None, "digest", 300.0, NOW)
    lost = next_backoff(failed("ConnectionFailed"), None, "digest", 300.0, NOW)
    assert refused is not None
    again = backoff_after_check(failed("AuthenticationFailed"), refused, "digest", 300.0, NOW)
    assert again is not None
    assert (refused.failures, again.failures) == (1, 2)
    assert backoff_after_check(failed("ConnectionFailed"), refused, "digest", 300.0, NOW) is refused
    assert backoff_after_check(fine, refused, "digest", 300.0, NOW) is None
    assert backoff_after_check(fine, lost, "digest", 300.0, NOW) is lost
    assert backoff_after_check(fine, lost, "other", 300.0, NOW) is None
    assert backoff_after_check(fine, None, "digest", 300.0, NOW) is None
