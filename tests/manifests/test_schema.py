"""The schema as it is committed and shipped."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from reconciler.manifests import schema

REPOSITORY = Path(__file__).parents[2]


def test_committed_schema_is_the_models() -> None:
    assert schema.text() == schema.generated(), "run `python -m reconciler.manifests.schema`"


def test_schema_beside_the_package_is_the_same_file() -> None:
    assert (REPOSITORY / "schemas" / schema.FILE).read_text("utf-8") == schema.text()


def test_schema_is_draft_7_without_what_editors_do_not_follow() -> None:
    whole = json.loads(schema.text())
    jsonschema.Draft7Validator.check_schema(whole)
    assert "$defs" not in schema.text()
    assert '"ge"' not in schema.text()
    assert "anyOf" not in schema.text()


def test_every_field_is_described() -> None:
    for name, definition in json.loads(schema.text())["definitions"].items():
        for key, field in definition["properties"].items():
            assert "description" in field or "$ref" in field, f"{name}.{key}"
