"""Which messages a folder has, of a dialogue in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.sources.imap import uid_search
from reconciler.sources.imap.fetch_responses import LARGEST_UID, TaggedCompletion
from reconciler.sources.imap.response_reader import UntaggedResponse
from reconciler.sources.imap.uid_search import (
    all_uids,
    existing_uids,
    others_deleted,
    others_flagged,
    ranges,
    search_uids,
    uid_sets,
)


class Dialogue:
    """Answers SEARCH by these lines and FETCH by these UIDs; None: it is refused."""

    def __init__(
        self,
        search: Sequence[bytes] | None = None,
        fetch: Sequence[int | None] | None = None,
        flags: Sequence[tuple[int | None, bytes]] | None = None,
    ) -> None:
        self._search = search
        self._fetch = fetch
        self._flags = flags
        self.asked: list[str] = []

    def run(self, *words: str, hear: Mapping[str, Callable[[UntaggedResponse], None]]) -> Any:
        self.asked.append(" ".join(words))
        if words[1] == "SEARCH":
            for text in self._search or ():
                name, _, rest = text.partition(b" ")
                hear[name.decode()](UntaggedResponse(name.decode(), None, rest))
            return SimpleNamespace(ok=self._search is not None)
        for number, text in self._flags or ():
            hear["FETCH"](UntaggedResponse("FETCH", number, text))
        return SimpleNamespace(ok=self._flags is not None)

    def fetch_uids(self, uids: str, items: str) -> Iterator[Any]:
        self.asked.append(f"FETCH {uids} {items}")
        for uid in self._fetch or ():
            yield SimpleNamespace(uid=uid)
        yield TaggedCompletion(
            "" if self._fetch is None else "OK", "OK" if self._fetch is not None else "NO", b""
        )


def asked(**answers: Any) -> Any:
    return Dialogue(**answers)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"SEARCH 1 2 3", [1, 2, 3]),
        (b"SEARCH 3 1 2 3 1 2", [1, 2, 3]),
        (b"SEARCH 1 2 3 4", None),
        (b"SEARCH 0 2", [2]),
        (b"SEARCH", []),
        (b'ESEARCH (TAG "A1") UID ALL 1:3', [1, 2, 3]),
        (b"ESEARCH UID ALL 3:2,7", [2, 3, 7]),
        (b"ESEARCH UID COUNT 0", []),
        (b"ESEARCH ALL 1:3", None),
        (b"ESEARCH UID ALL 4294967295:9999999999", [LARGEST_UID]),
    ],
)
def test_as_many_as_there_may_be_are_listed(answer: bytes, found: list[int] | None) -> None:
    told = all_uids(asked(search=[answer]), "SEARCH", 3)
    assert (told if told is None else list(told)) == found


@pytest.mark.parametrize(
    ("uids", "found"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([3, None, 1, 1], [1, 3]),
        ([1, 2, 3, 4], None),
        ([], []),
        (None, None),
    ],
)
def test_all_uids_by_fetch(uids: list[int | None] | None, found: list[int] | None) -> None:
    told = all_uids(asked(fetch=uids), "FETCH", 3)
    assert (told if told is None else list(told)) == found


def test_a_fetch_that_is_not_completed_says_nothing() -> None:
    dialogue = asked(fetch=[1, 2])
    whole = dialogue.fetch_uids
    dialogue.fetch_uids = lambda *asked: list(whole(*asked))[:-1]
    assert all_uids(dialogue, "FETCH", 3) is None


def test_a_search_without_an_answer_or_refused_says_nothing() -> None:
    assert all_uids(asked(search=[]), "SEARCH", 3) is None
    assert all_uids(asked(), "SEARCH", 3) is None


@pytest.mark.parametrize(
    ("search", "fetch", "found", "asks"),
    [
        ([b"SEARCH 1 9"], [2], {1}, ["UID SEARCH UID 1:2"]),
        ([], [2, 9, None], {2}, ["UID SEARCH UID 1:2", "FETCH 1:2 (UID)"]),
        (None, None, None, ["UID SEARCH UID 1:2", "FETCH 1:2 (UID)"]),
    ],
)
def test_search_first(
    search: list[bytes] | None, fetch: list[int] | None, found: set[int] | None, asks: list[str]
) -> None:
    dialogue = asked(search=search, fetch=fetch)
    assert search_uids(dialogue, [1, 2]) == found
    assert dialogue.asked == asks


@pytest.mark.parametrize(
    ("search", "fetch", "found", "asks"),
    [
        ([b"SEARCH 1"], [2, 9, None], {2}, ["FETCH 1:2 (UID)"]),
        ([b"SEARCH 1 9"], None, {1}, ["FETCH 1:2 (UID)", "UID SEARCH UID 1:2"]),
        (None, None, None, ["FETCH 1:2 (UID)", "UID SEARCH UID 1:2"]),
    ],
)
def test_fetch_first(
    search: list[bytes] | None, fetch: list[int] | None, found: set[int] | None, asks: list[str]
) -> None:
    dialogue = asked(search=search, fetch=fetch)
    assert existing_uids(dialogue, [1, 2]) == found
    assert dialogue.asked == asks


@pytest.mark.parametrize(
    ("search", "others"),
    [
        ([b"SEARCH"], False),
        ([b"SEARCH 1 2"], False),
        ([b"SEARCH 1 3"], True),
        ([b"SEARCH 3 1 4"], True),
        ([], None),
        (None, None),
    ],
)
def test_I25_whether_others_are_marked(search: list[bytes] | None, others: bool | None) -> None:
    assert others_deleted(asked(search=search), {1, 2}) is others


def flags(uid: int, *names: bytes) -> bytes:
    return b"(UID %d FLAGS (%s))" % (uid, b" ".join(names))


@pytest.mark.parametrize(
    ("told", "others"),
    [
        pytest.param([(1, flags(1)), (2, flags(5, b"\\Seen"))], False, id="none is marked"),
        pytest.param([(1, flags(1, b"\\Deleted")), (2, flags(5))], False, id="only ours"),
        pytest.param([(1, flags(1)), (2, flags(5, b"\\deleted"))], True, id="another one"),
        pytest.param(
            [(1, flags(1)), (2, flags(5, b"\\Deleted")), (2, flags(5))], False, id="no longer"
        ),
        pytest.param([(1, flags(1))], None, id="one is not told"),
        pytest.param([(1, flags(1)), (3, flags(5))], None, id="the second is not told"),
        pytest.param([(1, flags(5)), (2, flags(1))], None, id="out of order"),
        pytest.param([(1, flags(1)), (2, b"(FLAGS (\\Deleted))")], None, id="without a UID"),
        pytest.param([(1, flags(1)), (2, b"(UID 5)")], None, id="without flags"),
        pytest.param([(1, flags(1)), (None, flags(5))], None, id="without a number"),
        pytest.param([(1, flags(1)), (0, flags(5))], None, id="number 0"),
        pytest.param([(1, flags(1)), (2, flags(LARGEST_UID + 1))], None, id="no UID"),
        pytest.param([(1, flags(1)), (2, flags(LARGEST_UID))], False, id="the largest UID"),
        pytest.param([(1, flags(1)), (2, flags(5)), (1 << 30, flags(9))], False, id="far away"),
        pytest.param(
            [(1, flags(1)), (2, flags(5)), (3, flags(9, b"\\Deleted"))], True, id="one arrived"
        ),
        pytest.param(None, None, id="refused"),
    ],
)
def test_I25_whether_others_are_marked_by_their_flags(
    told: list[tuple[int | None, bytes]] | None, others: bool | None
) -> None:
    assert others_flagged(asked(flags=told), {1, 2}, 2) is others


def test_as_many_as_may_arrive_meanwhile_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uid_search, "_ARRIVING", 2)
    told = [(number, flags(number, b"\\Deleted")) for number in range(1, 5)]
    assert others_flagged(asked(flags=told), {1, 2, 3}, 2) is True
    assert others_flagged(asked(flags=[*told, (5, b"(UID 1 FLAGS ())")]), {1, 2, 3}, 2) is True


@pytest.mark.parametrize(
    ("uids", "found"),
    [
        ([], []),
        ([0], [(0, 0)]),
        ([1], [(1, 1)]),
        ([3, 1, 2, 2], [(1, 3)]),
        ([1, 3, 4, 9], [(1, 1), (3, 4), (9, 9)]),
    ],
)
def test_runs_of_numbers(uids: list[int], found: list[tuple[int, int]]) -> None:
    assert list(ranges(uids)) == [each for each in found if each != (0, 0)]


@pytest.mark.parametrize("digits", range(1, 11))
@pytest.mark.parametrize("step", [2, 3])
def test_a_set_is_as_long_as_a_command_may_be(digits: int, step: int) -> None:
    """Also the second one, and the last."""
    uids = [10 ** (digits - 1) + step * number for number in range(2000)]
    texts = [text for text, _ in uid_sets(uids)]
    for text, following in pairwise(texts):
        assert len(text) <= 900 < len(f"{text},{following.partition(',')[0]}")
    assert len(texts[-1]) <= 900


def test_sets_fit_into_a_command_and_hold_each_once() -> None:
    uids = range(1_000_000, 1_002_000, 2)
    sets = list(uid_sets(uids))
    assert [uid for _, members in sets for uid in sorted(members)] == list(uids)
    for text, members in sets:
        assert sorted(map(int, text.split(","))) == sorted(members)
    assert {len(text) for text, _ in sets[:-1]} == {8 * 112 - 1}
    assert list(uid_sets([5, 1, 2, 3])) == [("1:3,5", frozenset({1, 2, 3, 5}))]
    assert list(uid_sets([])) == []
