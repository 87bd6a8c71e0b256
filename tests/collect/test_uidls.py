"""UIDLs as servers make them: nothing is collected twice, and nothing deleted that was not
delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.model.outcomes import Outcome
from tests.collect.accounts import Mode
from tests.collect.test_poison import Case, cases, text

__all__ = ["cases"]  # a fixture

Names = Callable[[int, int, int], bytes]
ODD: dict[str, Names] = {
    "all equal": lambda uid, place, session: b"same",
    "two alike": lambda uid, place, session: b"twin" if uid in (2, 3) else b"u%d" % uid,
    "other ones in each session": lambda uid, place, session: b"%d.%d" % (session, uid),
    "changed when it was read": lambda uid, place, session: (
        b"u%d%s" % (uid, b"S" * (session > max(uid - 4, 1)))
    ),
    "one that is always forgotten": lambda uid, place, session: (
        b"u%d.%d" % (uid, session if uid == 2 else 0)
    ),
    "all forgotten once": lambda uid, place, session: b"u%d.%d" % (uid, session > 2),
    "places": lambda uid, place, session: b"%d" % place,
    "places with zeros": lambda uid, place, session: b"%08d" % place,
    "case only": lambda uid, place, session: (b"ab", b"aB", b"Ab", b"AB", b"abc", b"ABC", b"Abc")[
        uid - 1
    ],
    "with spaces": lambda uid, place, session: b"a b %d" % uid,
    "one without": lambda uid, place, session: b"" if uid == 3 else b"u%d" % uid,
    "none at all": lambda uid, place, session: b"",
}
WITHOUT = {"one without": {3}, "none at all": {1, 2, 3, 4, 5, 6, 7}}


@pytest.mark.parametrize("mode", ["new-keep", "new-delete", "all-delete"])
@pytest.mark.parametrize("names", ODD)
def test_whatever_uidls_a_server_gives(cases: Any, names: str, mode: Mode) -> None:
    """One message more comes after the first and the second session."""
    case: Case = cases("pop3", mode, 5, names=ODD[names])
    for more in (6, 7, None, None):
        report = case.session()
        assert report.outcome is Outcome.SUCCEEDED, report
        case.missing()  # nothing twice, nothing deleted undelivered
        if more is not None:
            case.box.messages[more] = case.whole[more] = text(more)
    assert case.missing() == WITHOUT.get(names, set())
    assert set(case.box.messages) == (set(case.whole) if mode == "new-keep" else case.missing())


def test_a_message_that_is_gone_and_new_ones_are_told_apart(cases: Any) -> None:
    """What somebody else removed is no reason to take another message for it."""
    case: Case = cases("pop3", "new-keep", 5)
    case.session()
    del case.box.messages[2], case.whole[2]
    case.box.messages |= {6: text(6), 7: text(7)}
    case.whole |= {6: text(6), 7: text(7)}
    report = case.session()
    assert (report.collected, report.skipped) == (2, 4)
    assert sum(case.account.delivered().values()) == 7
