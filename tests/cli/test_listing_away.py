"""A host that is away is told once, with how many it concerns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.cli.collector_list import advice_lines
from reconciler.model.status import HostAway, ShownCollector, ShownMetadata, Status


def test_F27_one_cause_for_all() -> None:
    now = datetime.now(UTC)
    away = HostAway(
        host="imap.example",
        port=993,
        reason="ConnectionFailed",
        message="refused",
        since=now,
        next_attempt=now + timedelta(seconds=30),
        concerns=300,
    )
    shown = [
        ShownCollector(
            metadata=ShownMetadata(name=f"c{number}"), spec={}, status=Status(host_away=away)
        )
        for number in range(3)
    ]
    [line] = advice_lines(shown)
    assert line.startswith("imap.example:993 lets nobody in")
    assert "300 collectors wait for one that tries again" in line
    assert line.endswith(": refused")
