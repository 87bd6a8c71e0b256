"""The committed and shipped schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from reconciler.manifests.schema_export import json_schema

REPOSITORY = Path(__file__).parents[2]


def test_committed_schema_is_the_models() -> None:
    assert json_schema.text() == json_schema.generated(), (
        "run `python -m reconciler.manifests.schema_export.json_schema`"
    )


def test_schema_beside_the_package_is_the_same_file() -> None:
    assert (REPOSITORY / "schemas" / json_schema.FILE).read_text("utf-8") == json_schema.text()


def test_schema_is_draft_7_without_what_editors_do_not_follow() -> None:
    whole = json.loads(json_schema.text())
    jsonschema.Draft7Validator.check_schema(whole)
    assert "$defs" not in json_schema.text()
    assert '"ge"' not in json_schema.text()
    assert "anyOf" not in json_schema.text()
    assert "oneOf" not in json_schema.text()


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in json.loads(json_schema.text())["definitions"].items():
        for key, field in definition["properties"].items():
            yield f"{name}.{key}", field


def within(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield found
    for inner in (
        found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    ):
        yield from within(inner)


def test_every_word_of_a_choice_is_explained() -> None:
    choices = {name: field for name, field in fields() if "enum" in field}
    assert choices
    for name, field in choices.items():
        assert len(field.get("enumDescriptions", ())) == len(field["enum"]), name


def test_every_pattern_says_in_words_what_it_wants() -> None:
    patterns = [
        found
        for found in within(json.loads(json_schema.text()))
        if found.get("pattern", "\n") != "\n" and "type" in found
    ]
    assert patterns
    assert all(found["patternErrorMessage"].startswith("This ") for found in patterns)


def test_titles_are_for_people_and_examples_are_valid() -> None:
    whole = json.loads(json_schema.text())
    for name, definition in whole["definitions"].items():
        assert not re.search(r"Spec|Ref|[a-z][A-Z]", definition["title"]), name
    for name, field in fields():
        for example in field.get("examples", ()):
            jsonschema.Draft7Validator(field).validate(example)
            assert name


def test_every_field_is_described() -> None:
    for name, field in fields():
        assert field["description"], name
        assert "\n" not in field["description"], name
