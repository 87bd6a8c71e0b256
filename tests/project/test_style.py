"""What docs/style.md asks: no word of its list in pages and code, no long sentence in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT

LONGEST = 30
"""Words in a sentence."""
GENERATED = {"cli.md", "providers.md"}
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    if path.name not in GENERATED
}
STYLE = (ROOT / "docs" / "style.md").read_text(encoding="utf-8")


def avoided() -> list[str]:
    """The words that the table of docs/style.md says not to use."""
    table = STYLE.partition("| not | but |")[2]
    cells = re.findall(r"^\| ([a-z].*?) \|", table, re.MULTILINE)
    return [re.sub(r" \(.*", "", word) for cell in cells for word in cell.split(", ")]


def prose(path: Path) -> str:
    """Return a page's text without code, tables, comments and the targets of links."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^\|.*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "CODE", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def sentences(path: Path) -> Iterator[str]:
    for block in re.split(
        r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|^#.*$", prose(path), flags=re.MULTILINE
    ):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(block.split()))


def test_the_list_of_words_is_read() -> None:
    assert {"mend", "whoever", "thereby"} <= set(avoided())


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/style.md"])
def test_a_page_uses_no_word_of_the_list(page: str) -> None:
    pattern = re.compile(rf"\b({'|'.join(avoided())})", re.IGNORECASE)
    text = re.sub(
        r"^```.*?^```$|`[^`]*`",
        "",
        PAGES[page].read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    assert [line for line in text.splitlines() if pattern.search(line)] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_long_sentence(page: str) -> None:
    assert [each for each in sentences(PAGES[page]) if len(each.split()) > LONGEST] == []


def test_the_code_uses_no_word_of_the_list() -> None:
    """In docstrings, comments, messages and templates. `--mend` is an option's name."""
    pattern = re.compile(rf"\b({'|'.join(set(avoided()) - {'mend'})})", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for ending in ("py", "html", "js")
        for path in sorted((ROOT / "reconciler").rglob(f"*.{ending}"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []
