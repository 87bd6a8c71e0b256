"""The words of ARCHITECTURE.md are the code's, and the pages name only what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT

_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
NOT_OURS = {
    "handle_events",  # uvicorn's
    "process_bind_param",  # SQLAlchemy's
    "process_result_value",
    "process_setup",  # the operating system's process
    "service_manager",  # systemd's word for itself
}
"""Names that hold a word that is not used for anything of ours."""
_PLACES = (
    "reconciler",
    "tests",
    "docs",
    "examples",
    "deploy",
    "schemas",
    "scripts",
    "bench",
    "demo",
)
_NAMED = re.compile(rf"`((?:{'|'.join(_PLACES)})/[\w./-]+)`")


def _glossary() -> dict[str, str]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("\n## Words\n") :].removeprefix("\n## Words\n").partition("\n## ")[0]
    rows = _ROW.findall(section)
    assert rows[0] == ("word", "meaning")
    return dict(rows[1:])


def _unused_words() -> set[str]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Not used: "))
    return set(re.findall(r"\w+", line.removeprefix("Not used: ").partition(" as names")[0])) - {
        "and"
    }


def _sources() -> list[Path]:
    found = sorted((ROOT / "reconciler").rglob("*.py"))
    return [path for path in found if "versions" not in path.parts]


def _names(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _shown_names(path: Path) -> Iterator[str]:
    """Yield the names of functions, classes and modules, of parameters and of fields."""
    yield from _names(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    yield item.target.id


def _private_words() -> set[str]:
    text = " ".join((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split())
    listed = text.partition("No name of ours is one of these private words any more: ")[2]
    return set(listed.partition(".")[0].split(", "))


def _parts(name: str) -> set[str]:
    return {part.lower() for part in _WORD.findall(name)}


def test_the_glossary_is_in_order_and_each_of_its_words_is_used() -> None:
    words = list(_glossary())
    assert len(words) > 30
    assert words == sorted(words)
    pages = (ROOT / "docs").glob("*.md")
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*_sources(), *pages]).lower()
    plain = re.sub(r"[-_ ]", "", text)
    assert [word for word in words if re.sub(r"[-_ ]", "", word) not in plain] == []


def test_what_the_glossary_excludes_names_nothing_of_ours() -> None:
    excluded = _unused_words()
    assert {"manager", "helper", "utils", "process", "handle"} == excluded
    forbidden = excluded | {"handler", "helpers", "util"}
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in _sources()
        for name in _names(path)
        if _parts(name) & forbidden and name not in NOT_OURS
    }
    assert found == set()


def test_a_private_word_names_nothing() -> None:
    private = _private_words()
    assert {"dress", "told", "said"} < private
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in _sources()
        for name in _shown_names(path)
        if _parts(name) & private
    }
    assert found == set()


@pytest.mark.parametrize(
    "page",
    [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
    ],
)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    named = set(_NAMED.findall((ROOT / page).read_text(encoding="utf-8")))
    missing = {
        path for path in named if "NAME" not in path and not (ROOT / path.rstrip(".")).exists()
    }
    assert missing == set()
