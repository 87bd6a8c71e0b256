"""Templates and paths as kubectl's users type them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli import jsonpath

ROOT: dict[str, Any] = {
    "items": [
        {
            "metadata": {"name": "a", "labels": {"app.io/team": "x"}},
            "spec": {"port": 993, "on": True},
            "tags": ["p", "q"],
        },
        {
            "metadata": {"name": "b", "labels": {}},
            "spec": {"port": 110, "title": "Почта"},
            "tags": [],
        },
    ]
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("{$.items[0].metadata.name}", "a"),
        (".items[1].metadata.name", "b"),
        ("items[-1].metadata.name", "b"),
        ("{.items[0:1].metadata.name}", "a"),
        ("{.items[*].tags[0]}", "p"),
        ("{.items[0].spec}", '{"port": 993, "on": true}'),
        ("{.items[*].spec.title}", "Почта"),
        ("{.nothing.here}", ""),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.spec.port}{"\\n"}{end}', "a\t993\nb\t110\n"),
        ("{.items[?(@.spec.port==993)].metadata.name}", "a"),
        ("{.items[?(@.spec.port<500)].metadata.name}", "b"),
        ('{.items[?(@.metadata.name!="a")].metadata.name}', "b"),
        ("{.items[?(@.spec.title)].metadata.name}", "b"),
        ("{.items[?(@.spec.on==true)].metadata.name}", "a"),
        ("{..name}", "a b"),
        ("{.items[0].metadata.*}", 'a {"app.io/team": "x"}'),
        ("{.items[0].metadata.labels['app.io/team']}", "x"),
        ("n={.items[0].metadata.name};", "n=a;"),
        ("{.items[0]['metadata']['name']}", "a"),
        ("{range .items[*]}[{range .tags[*]}{@}{end}]{end}", "[pq][]"),
        ("{.items[?(@.spec.port>='x')].metadata.name}", ""),
    ],
)
def test_filled(template: str, text: str) -> None:
    assert jsonpath.render(jsonpath.parse_template(template), ROOT) == text


@pytest.mark.parametrize(
    "template",
    [
        "{.items[}",
        "{.items[*]",
        "{range .items[*]}",
        "{end}",
        "{.items[?(]}",
        "a}b{.x}",
        "{.a b}",
        "{.items[x]}",
        "{.items[-:]}",
        "{.items[" + "9" * 5000 + "]}",
    ],
)
def test_what_is_wrong_is_an_error(template: str) -> None:
    with pytest.raises(jsonpath.BadTemplate):
        jsonpath.parse_template(template)
