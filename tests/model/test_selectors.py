"""Which labels a selector selects: as kubectl's does."""

from __future__ import annotations

import pytest

from reconciler.model.selectors import assignments, selector

LABELS = {
    "team": "sales",
    "env": "test",
    "empty": "",
    "отдел": "продажи",
    "example.org/tier": "front end",
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "team=sales",
        "team==sales",
        "team = sales",
        "team!=ops",
        "nobody!=ops",
        "team",
        "!nobody",
        "! nobody",
        "team=sales,env=test",
        "team=sales , env==test",
        "team in (sales,support)",
        "team in (sales)",
        "team in( sales )",
        "team notin (ops,hr)",
        "nobody notin (a)",
        "empty=",
        "empty in ()",
        "empty",
        "team,env,!nobody",
        "отдел=продажи",
        "team in (ops, sales),env!=live",
        "example.org/tier=front end",
        "example.org/tier in (front end,back)",
    ],
)
def test_selected(text: str) -> None:
    assert selector(text).selects(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "team=ops",
        "team==ops",
        "team!=sales",
        "!team",
        "nobody",
        "nobody=",
        "nobody in (a)",
        "team=sales,env=live",
        "team notin (sales,ops)",
        "team=sales,nobody",
        "empty!=",
        "team=Sales",
        "in",
        "notin",
    ],
)
def test_not_selected(text: str) -> None:
    assert not selector(text).selects(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "team=sales,",
        "=sales",
        "!team=sales",
        "team in sales",
        "team in (sales",
        "team in sales)",
        "team=a=b",
        "team>1",
        "team in (a),,b",
        "team!",
        "team ! = a",
        "team in (a) b",
        "(team)",
        "team===a",
        "a b",
        "!",
    ],
)
def test_what_selects_nothing_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="team in"):
        selector(text)


def test_selectors_are_joined() -> None:
    both = selector("team=sales") & selector("env=live")

    assert both.text == "team=sales,env=live"
    assert not both.selects(LABELS)
    assert (selector("") & selector("team")).text == "team"


def test_labels_are_given() -> None:
    assert assignments("team=x") == {"team": "x"}
    assert assignments("team=x,env=y, a = b ,empty=") == {
        "team": "x",
        "env": "y",
        "a": "b",
        "empty": "",
    }
    for text in ("team", "=x", "team=x,", "team!=x", "team==x", "team in (a)", ""):
        with pytest.raises(ValueError, match="LABEL=VALUE"):
            assignments(text)
