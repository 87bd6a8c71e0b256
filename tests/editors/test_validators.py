"""Other people's validators take the schema, and judge as ours does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.yaml import document_reader
from tests import tools
from tests.manifests.corpus import INVALID, VALID, expectation

SCHEMA = tools.ROOT / "schemas" / json_schema.FILE
BY_SCHEMA = {
    "unknown-version",
    "unknown-kind",
    "unknown-key",
    "missing-key",
    "exactly-one",
    "no-value",
    "empty-value",
    "type",
    "choice",
    "out-of-range",
    "too-long",
    "interval",
    "size",
    "name",
    "variable",
    "fingerprint",
    "header",
    "local-part",
}
"""Rules that the schema has, all others aside."""
AJV = """
const Ajv = require(process.argv[1]), fs = require("fs");
const [words, plain, whole, values] = JSON.parse(fs.readFileSync(0));
new Ajv({strict: true, allErrors: true}).compile(plain);
const ajv = new Ajv({strict: true, allErrors: true});
ajv.addVocabulary(words);
const judge = ajv.compile(whole);
console.log(JSON.stringify(values.map(value => judge(value))));
"""
RE2 = """
import json, re2, sys
for pattern, good in json.load(sys.stdin):
    found = re2.compile(pattern)
    assert all(found.search(text) for text in good), pattern
"""


def documents(paths: list[Path]) -> list[Any]:
    return [
        found.root.value for path in paths for found in document_reader.read(path.read_bytes())[0]
    ]


def broken_by_the_schema() -> list[Path]:
    """Files of the corpus whose first document the schema refuses, and whose YAML every reader
    understands."""
    found = []
    for path in INVALID:
        if path.is_file():
            told = json.loads(expectation(path).read_text("utf-8"))
            errors = {one["rule"] for one in told if one["severity"] == "error"}
            if (
                errors
                and errors <= BY_SCHEMA
                and len(document_reader.read(path.read_bytes())[0]) == 1
            ):
                found.append(path)
    return found


def within(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield found
    for inner in (
        found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    ):
        yield from within(inner)


def fed(text: str, *words: str | Path) -> str:
    import subprocess  # noqa: PLC0415

    tools.require()
    done = subprocess.run(
        [str(word) for word in words],
        input=text,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ajv_in_strict_mode_judges_the_same() -> None:
    good, bad = documents(VALID), documents(broken_by_the_schema())
    given = [
        sorted(json_schema.EDITING),
        json.loads(json_schema.plain_text()),
        json.loads(json_schema.text()),
        good + bad,
    ]

    judged = json.loads(fed(json.dumps(given), tools.NODE, "-e", AJV, tools.MODULES / "ajv"))

    assert judged == [True] * len(good) + [False] * len(bad)
    assert len(bad) > 40


def test_every_pattern_is_re2_s() -> None:
    """Go's regular expressions are of that kind: no lookahead, no `\\u`."""
    found = [
        (one["pattern"], one.get("examples", []))
        for one in within(json.loads(json_schema.text()))
        if isinstance(one.get("pattern"), str)
    ]
    assert len(found) > 20

    fed(json.dumps(found), tools.PYTHON, "-c", RE2)


def test_check_jsonschema_takes_the_valid_files() -> None:
    plain = [
        path
        for path in VALID
        if path.name not in {"anchors.yaml", "json.yaml"}
        and len(document_reader.read(path.read_bytes())[0]) == 1
    ]

    done = tools.run(tools.PYTHON, "-m", "check_jsonschema", "--schemafile", SCHEMA, *plain)

    assert done.returncode == 0, done.stdout


def test_check_jsonschema_refuses_the_others() -> None:
    bad = broken_by_the_schema()

    done = tools.run(
        tools.PYTHON, "-m", "check_jsonschema", "-o", "json", "--schemafile", SCHEMA, *bad
    )

    assert done.returncode == 1
    told = json.loads(done.stdout)
    refused = {
        Path(one["filename"]).name for one in [*told["errors"], *told.get("parse_errors", [])]
    }
    assert {path.name for path in bad} - refused == set()


def test_it_is_a_schema_by_its_own_schema() -> None:
    done = tools.run(tools.PYTHON, "-m", "check_jsonschema", "--check-metaschema", SCHEMA)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("word", sorted(json_schema.EDITING))
def test_keywords_of_editors_are_used_and_can_be_left_out(word: str) -> None:
    assert f'"{word}"' in json_schema.text()
    assert f'"{word}"' not in json_schema.plain_text()
