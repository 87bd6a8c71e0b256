"""Every manifest that the API refuses: the problem says where it is wrong, and how to fix it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.manifests.checks.rule_catalogue import RULES
from reconciler.model.settings import Settings
from tests.control.manifests import save, text
from tests.web.daemon import daemon, run
from tests.web.test_manifest_api import SALES, YAML, manifest

COLLECTORS = "/api/v1/collectors"
JSON = {"Content-Type": "application/json"}
SEVERAL = f"{text('new')}---\n{text('newer')}"
DESTINATION = """\
apiVersion: mailcollector/v1
kind: Destination
metadata: {name: new}
spec: {lmtp: {socket: /run/lmtp}}
"""
NO_NUMBERS = '{"a": [' + ",\n".join(["NaN"] * 3000) + "]}" + "\n" * 900_000
"""Hours pass where each of them is looked for in all lines."""
Case = tuple[dict[str, str], str | bytes, int, str, str, int]
"""Content type and content; the status; the rule, the path's end and the line of a diagnostic."""
OF_ANY: dict[str, Case] = {
    "several": (YAML, SEVERAL, 422, "several-manifests", "", 9),
    "a Destination": (YAML, DESTINATION, 422, "other-manifest", "kind", 2),
    "a Template": (
        YAML,
        DESTINATION.replace("Destination", "Template"),
        422,
        "other-manifest",
        "kind",
        2,
    ),
    "a list": (YAML, "- a\n- b\n", 422, "type", "", 1),
    "a word": (YAML, "hello\n", 422, "type", "", 1),
    "nothing": (YAML, "", 422, "empty-file", "", 1),
    "markers": (YAML, "---\n---\n", 422, "empty-file", "", 1),
    "deep": (YAML, f"a:\n  {'[' * 70}{']' * 70}\n", 422, "too-deep", "", 2),
    "alias": (YAML, "a: &a [*a]\n", 422, "recursive-alias", "", 1),
    "nothing in JSON": (JSON, "", 400, "empty-file", "", 1),
    "a list in JSON": (JSON, "[]", 400, "type", "", 1),
    "twice": (JSON, '{"metadata": {"name": "a",\n"name": "a"}}', 400, "duplicate-key", "name", 2),
    "deep JSON": (JSON, '{"a":\n' * 70 + "1" + "}" * 70, 400, "too-deep", "", 65),
    "very deep JSON": (JSON, "[" * 100_000, 400, "too-deep", "", 1),
    "no JSON": (JSON, '{"a": 1,\n"b"}', 400, "syntax", "", 2),
    "no number": (JSON, '{"a": "NaN",\n"b": [NaN]}', 400, "ambiguous-number", "b[0]", 2),
    "no numbers": (JSON, NO_NUMBERS, 400, "ambiguous-number", "a[0]", 1),
    "many values": (JSON, '{"a": [' + "1," * 20_000 + "1]}", 400, "too-many-values", "", 1),
    "a long number": (JSON, f'{{"a":\n{"1" * 5000}}}', 400, "ambiguous-number", "a", 2),
    "half a character": (JSON, '{"a": ["\\ud800"]}', 422, "not-utf8", "a[0]", 1),
    "no UTF-8": (JSON, b'{\n"a": "\xff"}', 400, "not-utf8", "", 2),
}


def test_each_says_where_and_how(root: Path, settings: Settings) -> None:
    other: dict[str, Case] = {
        "renamed": (YAML, text("other"), 422, "other-manifest", "metadata.name", 3),
        "renamed in JSON": (
            JSON,
            json.dumps(manifest("newest")),
            422,
            "other-manifest",
            "metadata.name",
            3,
        ),
    }
    declared: dict[str, Case] = {
        "declared": (JSON, json.dumps(manifest("sales")), 409, "duplicate-name", "name", 4),
        "a file of that name": (YAML, text("taken"), 409, "duplicate-name", "metadata.name", 3),
        "a hidden secret": (YAML, HIDDEN, 422, "inline-secret", "source.password.value", 5),
    }
    save(root, "taken", text("other-name"))
    cases = [
        *(("PUT", name, *case) for name, case in {**OF_ANY, **other}.items()),
        *(("POST", name, *case) for name, case in {**OF_ANY, **declared}.items()),
    ]

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            files = contents(root)
            for method, name, kind, content, status, rule, path, line in cases:
                address = SALES if method == "PUT" else COLLECTORS
                head = {**kind, **({"If-Match": "*"} if method == "PUT" else {})}
                answer = await here.client.request(method, address, content=content, headers=head)
                assert (answer.status_code, name) == (status, name)
                assert answer.headers["content-type"] == "application/problem+json"
                found = answer.json()["diagnostics"]
                assert found, name
                assert all(set(one) == MEMBERS and one["rule"] in RULES for one in found), name
                assert all(one["file"] and one["message"] and one["column"] > 0 for one in found)
                first = found[0]
                assert (first["rule"], first["line"], name) == (rule, line, name)
                assert first["path"].endswith(path), name
                assert first["severity"] == "error"
            assert contents(root) == files

    run(scenario())


def contents(directory: Path) -> dict[Path, str]:
    return {file: file.read_text() for file in directory.iterdir()}


MEMBERS = {"file", "line", "column", "path", "rule", "severity", "message"}
HIDDEN = text("new").replace("{env: P}", '{value: "[redacted]"}')


def test_a_collector_that_is_declared_twice_says_where(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            save(root, "again", text("sales"))
            await here.controller.turn()
            head = {"If-Match": "*"}
            answer = await here.client.put(SALES, json=manifest("sales"), headers=head)
            assert answer.status_code == 422
            found = answer.json()["diagnostics"]
            assert {Path(one["file"]).name for one in found} == {"again.yaml", "sales.yaml"}
            assert {(one["line"], one["rule"]) for one in found} == {(3, "duplicate-name")}

    run(scenario())


@pytest.mark.parametrize("ahead", ["", f"{text('first')}---\n"])
def test_the_line_is_that_of_the_manifest_that_was_sent(
    root: Path,
    settings: Settings,
    ahead: str,
) -> None:
    save(root, "sales", ahead + text("sales"))

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            for content, line in ((text("sales", "5 apples"), 6), (text("other"), 3)):
                for start in ("", "---\n"):
                    answer = await here.client.put(
                        SALES, content=start + content, headers={"If-Match": "*", **YAML}
                    )
                    found = answer.json()["diagnostics"]
                    assert [one["line"] for one in found] == [line + bool(start)]

    run(scenario())
