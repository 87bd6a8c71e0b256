"""Pages name only modules, functions and members of the package that are there. Docstrings name
only errors that are there."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.project import ROOT
from tests.project.import_graph import MODULES

PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions.md", "docs/performance.md")


def quoted(name: str) -> list[str]:
    """Return what stands in backquotes on a page, without its blocks of code."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@cache
def defined_names() -> list[tuple[str, ast.AST]]:
    """Return the name and node of each class, method and function that a reader can ask for."""
    return [each for tree in MODULES.values() for each in _defined_in(tree.body)]


def _defined_in(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _defined_in(node.body)


def members(class_name: str) -> set[str]:
    """Return the names of the methods and fields that classes of this name have."""
    return {
        name
        for other, node in defined_names()
        if other == class_name and isinstance(node, ast.ClassDef)
        for item in node.body
        for name in _named_by(item)
    }


def _named_by(item: ast.stmt) -> Iterator[str]:
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
        yield item.name
        for node in ast.walk(item):  # self.name = …
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node.attr
    elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
        yield item.target.id
    elif isinstance(item, ast.Assign):
        yield from (target.id for target in item.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("name", PAGES)
def test_every_module_and_member_exists(name: str) -> None:
    """Check `floor.module`, `floor.module.function` and `Class.member`."""
    floors = {module.split(".")[1] for module in MODULES if "." in module}
    functions = {each for each, _ in defined_names()}
    missing = []
    for word in quoted(name):
        if not re.fullmatch(r"\w+(\.\w+)+", word) or word.endswith((".py", ".md", ".toml", ".txt")):
            continue
        first, _, rest = word.partition(".")
        above, _, last = word.rpartition(".")
        if first in floors:
            known = f"reconciler.{word}" in MODULES or (
                f"reconciler.{above}" in MODULES and last in functions
            )
        elif first[0].isupper():
            known = rest in members(first)
        else:
            continue
        if not known:
            missing.append(word)
    assert missing == []


def known_types() -> set[str]:
    """Return the names of classes: Python's own, those of the package, and imported ones."""
    imported = {
        alias.asname or alias.name
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return {*dir(builtins), *imported, *(name for name, _ in defined_names())}


def docstrings() -> Iterator[tuple[str, str]]:
    for module, tree in MODULES.items():
        yield module, ast.get_docstring(tree) or ""
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", ast.get_docstring(node) or ""


def test_every_error_that_a_docstring_names_exists() -> None:
    """Check each capitalised word behind "raise" and "Raises", up to the sentence's end."""
    known = known_types()
    missing = [
        f"{place}: {word}"
        for place, text in docstrings()
        for clause in re.findall(r"\b[Rr]aises? ((?:[^.]|\.(?=\w))*)", re.sub(r"`.*?`", "", text))
        for word in re.findall(r"(?<![\w.-])(?:[A-Z][a-z]+)+\b(?! ?\d)", clause)
        if word not in known
    ]
    assert missing == []
