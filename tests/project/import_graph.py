"""The package's modules, and which of them import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.project import ROOT


def package_files() -> list[Path]:
    """Return the package's modules. Migrations are frozen, and named by their number."""
    found = sorted((ROOT / "reconciler").rglob("*.py"))
    return [path for path in found if "versions" not in path.parts]


MODULES: Mapping[str, ast.Module] = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text(encoding="utf-8")
    )
    for path in package_files()
}


def imports() -> dict[str, set[str]]:
    """Return what each module imports of the package. Imports inside functions and for type
    checkers count: a reader follows them as well."""
    return {module: set(_imported(module)) - {module} for module in MODULES}


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


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Return each set of modules of which every one leads to every other."""
    reached = {module: _reached(module, graph) for module in graph}
    return {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }


def _reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for module in graph[waiting.pop()] - found:
            found.add(module)
            waiting.append(module)
    return found
