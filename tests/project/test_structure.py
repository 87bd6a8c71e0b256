"""The package's own order: one name, one thing; and no import that leads back to where it began."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.project import ROOT

_NAMELESS = {"__init__", "__main__"}
SHARED_MODULES: frozenset[str] = frozenset()
SHARED_CLASSES: frozenset[str] = frozenset()
"""Names that stand twice all the same. Shorten it; add nothing."""
CIRCLES: frozenset[frozenset[str]] = frozenset()
"""Circles that are there still. Shorten it; add nothing."""


def _files() -> list[Path]:
    """Return the package's modules. Migrations are frozen, and named by their number."""
    found = sorted((ROOT / "reconciler").rglob("*.py"))
    return [path for path in found if "versions" not in path.parts]


MODULES: Mapping[str, ast.Module] = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in _files()
}


def test_no_module_name_stands_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in _files():
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
    """Imports inside functions and for type checkers count: a reader follows them as well."""
    imports = {module: set(_imported(module)) - {module} for module in MODULES}
    assert sum(map(len, imports.values())) > 500
    assert set(_circles(imports)) == CIRCLES


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{module}: a relative import"
            assert node.level == 0, f"{module}: a relative import"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                if below in MODULES:
                    yield below
                elif node.module in MODULES:
                    yield node.module


def _circles(imports: Mapping[str, set[str]]) -> Iterator[frozenset[str]]:
    """Yield each set of modules of which every one leads to every other."""
    reached = {module: _reached(module, imports) for module in imports}
    circles = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in imports
        if module in reached[module]
    }
    yield from circles


def _reached(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for module in imports[waiting.pop()] - found:
            found.add(module)
            waiting.append(module)
    return found


def test_a_circle_is_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert list(_circles(imports)) == [frozenset({"b", "c"})]
