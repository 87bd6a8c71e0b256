"""A collector that only changed its name: its history goes along, or it is said why not."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.planning.desired_state import desire
from reconciler.planning.incremental import ManifestDifference, desire_incrementally
from reconciler.planning.observed_manifests import Declaration
from reconciler.planning.reconcile_plan import Hold, Keep, Replace, Start, Stop, plan
from tests.planning.build import collector, destination, observed, remembered


def named(name: str, **spec: Any) -> Declaration:
    """They all collect from one account."""
    fields: dict[str, Any] = {
        "source": {
            "protocol": "imap",
            "host": "imap.example",
            "username": "u",
            "password": {"file": "secret"},
        },
        "recipient": {"forwardTo": "u@local.example"},
        **spec,
    }
    return collector(name, f"/etc/collectors/{spec.pop('file', name)}.yaml", **fields)


def test_only_the_name_changed() -> None:
    before = desire(observed(named("old")), {})
    desired = desire(observed(named("new")), remembered(named("old")))
    started, stopped = plan(desired, before.collectors).steps
    assert isinstance(started, Start)
    assert started.consequences == ("only its name changed: the history of old goes on as new",)
    assert stopped == Stop("old", "renamed to new", becomes="new")


def test_a_title_does_not_count() -> None:
    desired = desire(observed(named("new", title="New")), remembered(named("old", title="Old")))
    assert desired.becomes == {"old": "new"}


@pytest.mark.parametrize("waits", ["leaving", "ending"])
def test_the_new_one_waits_for_the_end_of_the_old_one(waits: str) -> None:
    given = (
        {"leaving": frozenset({("MailCollector", "old")})}
        if waits == "leaving"
        else {"ending": frozenset({"old"})}
    )
    desired = desire(observed(named("new"), **given), remembered(named("old")))
    assert [type(step) for step in plan(desired, {}).steps if step.name == "new"] == [Hold]
    assert ("MailCollector", "new") not in desired.good
    assert ("MailCollector", "old") in desired.good
    assert desire(observed(named("new")), desired.good).becomes == {"old": "new"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([named("a"), named("b")], [named("new")], "it is not clear whose it would be"),
        ([named("a")], [named("new"), named("other")], "for it might go on as new or other"),
        (
            [named("a")],
            [named("new", collect={"interval": "1h"})],
            "for more than the name changed",
        ),
        (
            [named("a"), named("b"), named("c", collect={"interval": "1h"})],
            [named("new")],
            "what a and b collected",
        ),
    ],
)
def test_nothing_is_guessed(before: list[Declaration], after: list[Declaration], said: str) -> None:
    desired = desire(observed(*after), remembered(*before))
    assert not desired.becomes
    started = next(step for step in plan(desired, {}).steps if step.name == "new")
    assert isinstance(started, Start)
    assert said in started.consequences[0]


@pytest.mark.parametrize("after", [[named("old"), named("new")], [collector("new")]])
def test_a_second_one_of_an_account_or_another_account_is_no_rename(
    after: list[Declaration],
) -> None:
    assert not desire(observed(*after), remembered(named("old"))).renames


def test_what_may_still_be_there_is_not_renamed() -> None:
    hidden = observed(named("new"), unreadable={"/etc/collectors/old.yaml": "Permission denied"})
    assert not desire(hidden, remembered(named("old"))).renames


def test_who_was_there_before_does_not_become_somebody_who_left() -> None:
    desired = desire(observed(named("a")), remembered(named("a"), named("b")))
    assert not desired.renames
    assert not desired.becomes


def test_who_is_declared_again_while_an_old_file_of_his_is_leaving_is_not_renamed() -> None:
    leaving = frozenset({("MailCollector", "old")})
    seen = observed(named("old"), named("new"), leaving=leaving)
    assert not desire(seen, remembered(named("old"))).renames


def test_a_destination_that_is_gone_was_no_collector() -> None:
    assert not desire(observed(named("new")), remembered(destination("old"))).renames


def account(name: str, user: str, **more: Any) -> Declaration:
    """A collector that does the same as every other one of this account."""
    return collector(
        name,
        recipient={"forwardTo": f"{user}@local.example"},
        source={
            "protocol": "imap",
            "host": "imap.example",
            "username": user,
            "password": {"file": "secret"},
        },
        **more,
    )


BEFORE = remembered(*[account(name, name.upper()) for name in "abc"])


@pytest.mark.parametrize(
    ("after", "moves"),
    [
        ({"a": "B", "b": "A", "c": "C"}, {"a": "b", "b": "a"}),
        ({"a": "C", "b": "A", "c": "B"}, {"a": "c", "b": "a", "c": "b"}),
        ({"b": "A", "c": "B", "d": "C"}, {"b": "a", "c": "b", "d": "c"}),
        ({"b": "A", "a": "B", "d": "C"}, {"b": "a", "a": "b", "d": "c"}),
        # whose history would have to end for another one's, stays as it is
        ({"a": "B", "b": "B", "c": "C"}, {}),
        ({"a": "B", "b": "X", "c": "C"}, {}),
        ({"a": "B", "c": "C"}, {}),
    ],
)
def test_M12_Y18_exchanged_names_exchange_their_histories(
    after: dict[str, str], moves: dict[str, str]
) -> None:
    declared = [account(name, user, title=f"now {name}") for name, user in after.items()]
    desired = desire(observed(*declared), BEFORE)
    assert {new: old for old, new in desired.becomes.items()} == moves
    running = desire(observed(*BEFORE.values()), {}).collectors
    for step in plan(desired, running).steps:
        if step.name in moves and not isinstance(step, Stop):
            assert isinstance(step, Replace | Start)
            assert step.consequences == (
                f"only its name changed: the history of {moves[step.name]} goes on as {step.name}",
            )


def test_M12_who_exchanges_names_waits_for_the_end_of_both() -> None:
    declared = [account("a", "B"), account("b", "A"), account("c", "C")]
    desired = desire(observed(*declared, ending=frozenset("b")), BEFORE)
    running = desire(observed(*BEFORE.values()), {}).collectors
    assert [type(step) for step in plan(desired, running).steps] == [Stop, Stop, Keep]
    assert desired.good == BEFORE
    assert desire(observed(*declared), desired.good).becomes == {"a": "b", "b": "a"}


def test_M12_an_exchange_is_found_among_a_few_that_changed() -> None:
    before = desire(observed(*BEFORE.values()), {})
    changed = [account("a", "B"), account("b", "A")]
    seen = observed(*changed, account("c", "C"))
    assert desire_incrementally(before, seen, ManifestDifference(tuple(changed))) is None
    titled = [account(name, name.upper(), title="x") for name in "ab"]
    found = ManifestDifference(tuple(titled))
    assert desire_incrementally(before, observed(*titled, account("c", "C")), found)
