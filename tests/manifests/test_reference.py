"""The generated reference in docs/ is current."""

from __future__ import annotations

import re

from reconciler.manifests.loading import parse
from tests.manifests.reference import PAGE, PAGES, pages, rendered


def test_tables_are_those_of_the_schema_and_the_rules() -> None:
    page = PAGE.read_text("utf-8")
    assert page == rendered(page), "run `python -m tests.manifests.reference`"


def test_every_rule_has_its_page() -> None:
    found = {path.name: path.read_text("utf-8") for path in PAGES.iterdir()}
    assert found == pages(), "run `python -m tests.manifests.reference`"


def test_examples_are_valid() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        parsed = parse(example.encode(), "example.yaml")
        assert [one for one in parsed.diagnostics if one.is_error] == []
