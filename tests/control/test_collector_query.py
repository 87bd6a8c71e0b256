"""Choosing, sorting and paging; what needs attention."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.control.collector_query import (
    SORTS,
    BadQuery,
    Cursor,
    NoSuchPage,
    Query,
    SearchIndex,
    page,
    parse_sort,
)
from reconciler.control.failure_causes import NAMED, causes
from reconciler.model.collector_state import CollectorState, is_stale, state_of
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.status import Condition, HostAway, SessionError, ShownCollector
from tests.cli.samples import NOW, at, collector, session

MANY = [collector(f"c{number:03}", last=session(collected=number)) for number in range(250)]


def stalled(name: str, reason: str, message: str, advice: str = "") -> ShownCollector:
    error = SessionError(reason=reason, message=message, advice=advice)
    found = collector(
        name, ready="False", reason=reason, message=message, last=session(error=error)
    )
    told = Condition(
        type="Stalled", status="True", reason=reason, message=message, last_transition_time=at(-60)
    )
    rest = [one for one in found.status.conditions if one.type != "Stalled"]
    return found.model_copy(
        update={"status": found.status.model_copy(update={"conditions": (*rest, told)})}
    )


@pytest.mark.parametrize("sort", sorted(SORTS))
@pytest.mark.parametrize("descending", [False, True])
def test_pages_show_each_collector_once_in_order(sort: str, descending: bool) -> None:
    index, after, names = SearchIndex(), None, list[str]()
    for _ in range(10):
        query = Query(sort=sort, descending=descending, limit=60, after=after)
        found = page(MANY, query, index)
        assert found.total == 250
        names += [one.metadata.name for one in found.items]
        if not found.next:
            break
        after = Cursor.read(found.next, sort)
    expected = [one.metadata.name for one in MANY]
    assert names == (expected[::-1] if descending else expected)


def test_a_page_goes_on_behind_a_collector_that_is_gone() -> None:
    index = SearchIndex()
    first = page(MANY, Query(limit=10), index)
    behind_first = Cursor.read(first.next, "name")
    rest = [one for one in MANY if one.metadata.name != "c009"]
    assert page(rest, Query(limit=2, after=behind_first), index).items[0].metadata.name == "c010"
    by_name = Cursor.read("c009", "name")
    assert page(rest, Query(limit=2, after=by_name), index).items[0].metadata.name == "c010"


@pytest.mark.parametrize(
    ("sort", "after"),
    [
        ("host", "c009"),
        ("host", page(MANY, Query(limit=1), SearchIndex()).next),
        ("collected", "WyJjb2xsZWN0ZWQiLCJ4IiwiYSJd"),
    ],
)
def test_a_cursor_of_no_page_of_this_list_is_refused(sort: str, after: str) -> None:
    with pytest.raises(NoSuchPage):
        Cursor.read(after, sort)


def test_what_nothing_is_sorted_by_is_refused() -> None:
    assert parse_sort("-host") == ("host", True)
    with pytest.raises(BadQuery, match="nonsense"):
        parse_sort("-nonsense")


def test_a_search_sees_what_changed() -> None:
    index = SearchIndex()
    assert page([collector("a")], Query(search="ПОЧТА a"), index).total == 1
    changed = collector("a", spec={"title": "Other"})
    assert page([changed], Query(search="почта отдела"), index).total == 0


def test_states() -> None:
    off = collector("off", ready="False", reason="Disabled")
    assert state_of(off) is CollectorState.DISABLED
    assert state_of(collector()) is CollectorState.READY
    assert state_of(collector(ready="Unknown")) is CollectorState.WAITING
    assert state_of(collector(ready="False", reason="ConnectionFailed")) is CollectorState.FAILING
    assert state_of(stalled("a", "InvalidManifest", "")) is CollectorState.STALLED
    found = page([off, collector()], Query(states=frozenset({CollectorState.READY})), SearchIndex())
    assert [one.metadata.name for one in found.items] == ["sales"]


def test_a_state_is_stale_after_two_intervals() -> None:
    one = collector(last=session(finished_at=NOW))
    assert not is_stale(one, NOW + timedelta(minutes=12))
    assert is_stale(one, NOW + timedelta(minutes=12, seconds=1))


def test_the_collectors_of_a_cause_are_selected_by_it() -> None:
    parked = collector("parked", last=session(parked=3, finished_at=NOW))
    old = collector("old", last=session(finished_at=NOW - timedelta(hours=1)))
    wrong = stalled("wrong", AuthenticationFailed.reason, "no")
    every = [old, parked, wrong]
    for cause in causes(every, NOW):
        query = Query(reason=cause.reason, host=cause.host.upper())
        found = page(every, query, SearchIndex(), NOW)
        assert [one.metadata.name for one in found.items] == list(cause.names)
    assert page(every, Query(destination="lmtp"), SearchIndex(), NOW).total == 0


def test_a_host_that_is_away_is_one_cause_of_many_collectors() -> None:
    away = HostAway(
        host="imap.example.org",
        port=993,
        reason="ConnectionFailed",
        message="refused",
        since=at(-3600),
        next_attempt=at(60),
        concerns=312,
    )
    many = [
        collector(
            f"c{number:03}",
            ready="False",
            reason="ConnectionFailed",
            host_away=away,
            spec={"recipient": {"forwardTo": f"p{number % 290}@example.net"}},
        )
        for number in range(312)
    ]
    (cause,) = causes(many, NOW)
    assert (cause.kind, cause.host, cause.collectors, cause.people) == (
        "host",
        "imap.example.org",
        312,
        290,
    )
    assert cause.names == tuple(f"c{number:03}" for number in range(NAMED))
    assert cause.since == at(-3600)


def test_logins_are_grouped_by_what_to_do() -> None:
    advice = "make an app password"
    found = causes(
        [
            *(
                stalled(f"g{n}", AuthenticationFailed.reason, f"refused u{n}", advice)
                for n in range(4)
            ),
            collector("broken", ready="False", reason="InvalidManifest", message="line 3"),
            collector("parked", last=session(listed=1, collected=0, skipped=0, parked=1)),
        ],
        NOW,
    )
    assert [(one.kind, one.collectors) for one in found] == [
        ("login", 4),
        ("failure", 1),
        ("parked", 1),
    ]
    assert found[0].advice == advice
    assert found[2].messages == 1
