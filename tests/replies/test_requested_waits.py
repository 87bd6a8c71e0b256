"""The time that a server names, in any unit and language, and the times that are none."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from reconciler.replies.reply_meaning import normalised
from reconciler.replies.requested_waits import LONGEST, seconds_named

NOW = datetime(2026, 11, 27, 23, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Request is throttled. Suggested Backoff Time: 299961 milliseconds", 299.961),
        ("backoff 250ms", 0.25),
        ("retry in 1,5 s", 1.5),
        ("please wait 60 seconds", 60),
        ("try again in 15 minute(s)", 900),
        ("Exceeded the login limit for a 15 minute period. Reduce the frequency of requests", 900),
        ("wait 1 hour 30 minutes", 5400),
        ("wait 1 hour, 30 minutes and 5 seconds", 5405),
        ("try again in an hour", 3600),
        ("in half an hour, try again in half an hour", 1800),
        ("Retry-After: 120", 120),
        ("retry after 3600", 3600),
        ("[LOGIN-DELAY 300] not yet", 300),
        ("try again after 1795823400", 1795823400 - NOW.timestamp()),
        ("wait 00:15:00", 900),
        ("Wait 00:30", 1800),
        ("try again at 00:10 UTC", 1800),
        ("try again at 01:10 +01:00", 1800),
        ("locked until 23:50", 600),
        ("try again after 2026-11-28 00:00:00 UTC", 1200),
        ("retry after 2026-11-28T03:00:00+03:00", 1200),
        ("try again after 2026-11-28T00:00:00.123Z", 1200),
        ("wait until Sat, 28 Nov 2026 00:10:00 +0000", 1800),
        ("bitte in 10 Minuten erneut versuchen", 600),
        ("gesperrt bis 28.11.2026 um 00:10, später erneut versuchen bis 28.11.2026 um 00:10", 1800),
        ("Подождите 5 минут", 300),
        ("повторите попытку через час", 3600),
        ("повторите через 2 часа", 7200),
        ("登录太频繁，请15分钟后再试", 900),
        ("登錄過於頻繁，15 分鐘後再試", 900),
        ("10分後に再度お試しください", 600),
        ("réessayez dans 20 minutes", 1200),
        ("intente de nuevo en 2 horas", 7200),
        ("spróbuj ponownie za 5 minut", 300),
        ("try again in 9999999999 days", LONGEST),
    ],
)
def test_what_is_named_is_read(text: str, seconds: float) -> None:
    assert seconds_named(normalised(text), NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Too many simultaneous connections. (Failure)",
        "Maximum number of connections (mail_max_userip_connections=30)",
        "Temporary authentication failure. [host:2026-11-27 23:10:01]",
        "try again after 2026-11-01 10:00:00 UTC",
        "Rate limit hit sc=ebI8JB0ug4Y1_290737_53p",
        "Command Argument Error. 11",
        "try again at 99:10",
        "wait 0 seconds",
        "try again after 2026-99-99 10:00",
    ],
)
def test_what_is_no_time_to_come_is_none(text: str) -> None:
    assert seconds_named(normalised(text), NOW) is None


@pytest.mark.parametrize(
    "piece", ["1 ", "12:34 ", "2026-11-28 ", "wait ", "1 hour ", "a ", "until ", "[limit 9", "9"]
)
def test_reading_takes_linear_time(piece: str) -> None:
    text = normalised(piece * 1000)
    before = time.process_time()
    seconds_named(text, NOW)
    assert time.process_time() - before < 0.5
