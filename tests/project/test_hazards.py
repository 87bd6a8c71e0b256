"""docs/hazards.md, the code that cites it, and the tests that cover it say the same."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-Z][0-9]+) \|", PAGE, re.MULTILINE)
_CITATION = re.compile(r"\bhazards? ((?:[A-Z0-9][A-Z0-9.]*(?:,\s+|\s+and\s+|\s*-\s*)?)+)")
_ID = re.compile(r"[A-Z]?[0-9.]*[0-9]")
_TEST = re.compile(r"def test_((?:[A-Z][0-9]+_)+)")


def _sources(*folders: str) -> list[tuple[Path, str]]:
    """Return path and text of each Python file below the folders, and of the pages."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    pages = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
    return [(file.relative_to(ROOT), file.read_text(encoding="utf-8")) for file in [*files, *pages]]


def test_every_cited_id_is_a_row() -> None:
    cited = {
        (identifier, str(file))
        for file, text in _sources("reconciler", "tests", "demo", "bench")
        for found in _CITATION.finditer(re.sub(r"\s*\n\s*(?:#\s*)?", " ", text))
        for identifier in _ID.findall(found[1])
    }
    assert len(cited) > 50
    assert not sorted(each for each in cited if each[0] not in ROWS)


def test_every_row_has_a_test() -> None:
    tested = {
        identifier
        for _, text in _sources("tests")
        for found in _TEST.finditer(text)
        for identifier in found[1].rstrip("_").split("_")
    }
    assert len(ROWS) > 100
    assert len(ROWS) == len(set(ROWS))
    assert not [identifier for identifier in ROWS if identifier not in tested]
