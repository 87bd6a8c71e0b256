"""The package's own order: one name, one thing; no import that leads back to where it began; and a
reason where a file is long."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.project import ROOT, figures
from tests.project.import_graph import MODULES, circles, imports, package_files

_NAMELESS = {"__init__", "__main__"}
SHARED_MODULES: frozenset[str] = frozenset()
SHARED_CLASSES: frozenset[str] = frozenset()
"""Names that stand twice all the same. Shorten it; add nothing."""
CIRCLES: frozenset[frozenset[str]] = frozenset()
"""Circles that are there still. Shorten it; add nothing."""
LONG = 400
"""Lines from which a file says in its docstring why it is one."""


def test_no_module_name_stands_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in package_files():
        if path.stem not in _NAMELESS:
            places[path.stem.lstrip("_")].append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == SHARED_MODULES, twice


def test_no_class_name_stands_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(module)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == SHARED_CLASSES, twice


def test_no_import_leads_back() -> None:
    graph = imports()
    assert sum(map(len, graph.values())) > 500
    assert circles(graph) == CIRCLES


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert circles(graph) == {frozenset({"b", "c"})}


def test_a_long_file_says_why_it_is_one() -> None:
    silent = {
        str(path.relative_to(ROOT))
        for path in package_files()
        if len((text := path.read_text(encoding="utf-8")).splitlines()) > LONG
        and "One file: " not in (ast.get_docstring(ast.parse(text)) or "")
    }
    assert silent == set()


def test_the_figures_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    figures.main()
    printed = capsys.readouterr().out
    assert "circles 0" in printed
    assert printed.count("median") == 2
