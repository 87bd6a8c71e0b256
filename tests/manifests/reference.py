"""The generated reference: the tables of docs/manifests.md, and a page in docs/rules for each rule.

The sources are the schema, the catalogue of rules, and the corpus with its examples.
`python -m tests.manifests.reference` writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.manifests.checks.rule_catalogue import RULES, WARNINGS
from reconciler.manifests.checks.schema_messages import PATTERNS
from reconciler.manifests.schema_export import json_schema
from tests.manifests.corpus import INVALID, VALID, expectation, said

PAGE = Path(__file__).parents[2] / "docs" / "manifests.md"
PAGES = PAGE.parent / "rules"
_LONGEST = 900
_NAMES = {
    "control-character": "text",
    "name": "DNS label",
    "local-part": "local part",
    "variable": "variable name",
    "header": "header name",
}


def rendered(page: str) -> str:
    """Return the page with current tables."""
    whole = json.loads(json_schema.text())
    tables = {
        "metadata": _fields(whole, "Metadata", "metadata"),
        "collector": _fields(whole, "CollectorSpec", "spec"),
        "destination": _fields(whole, "DestinationSpec", "spec"),
        "rules": _rules(),
    }
    for name, rows in tables.items():
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        after = rest.partition(f"<!-- end of {name} -->")[2]
        page = "\n".join([f"{before}<!-- {name} -->", *rows, f"<!-- end of {name} -->{after}"])
    return page


def _rules() -> Iterator[str]:
    yield "| rule | what is wrong |"
    yield "|---|---|"
    for rule, meaning in RULES.items():
        yield f"| [`{rule}`](rules/{rule}.md) | {meaning} |"


def pages() -> dict[str, str]:
    """Return the page of each rule by file name."""
    examples = _examples()
    index = "".join(f"- [{rule}]({rule}.md): {meaning}\n" for rule, meaning in RULES.items())
    return {
        f"{rule}.md": _page(rule, meaning, examples.get(rule)) for rule, meaning in RULES.items()
    } | {
        "README.md": "# Rules\n\nWhat `mailcollector validate` names in brackets behind each "
        f"diagnostic; `mailcollector explain RULE` tells it too.\n\n{index}"
    }


def _examples() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the shortest file of the corpus with a rule's diagnostic, and the diagnostic."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in [*INVALID, *VALID]:
        told = (
            (json.loads(expectation(path).read_text("utf-8")) if path in INVALID else said(path))
            if (path.is_file())
            else []
        )
        try:
            text = path.read_text("utf-8") if told else ""
        except UnicodeDecodeError:
            continue
        for one in told:
            shorter = one["rule"] not in found or len(text) < len(found[one["rule"]][0])
            if shorter and len(text) < _LONGEST and text.replace("\n", "").isprintable():
                found[one["rule"]] = text, one
    return found


def _page(rule: str, meaning: str, example: tuple[str, dict[str, Any]] | None) -> str:
    severity = (
        "A warning: it fails `validate --strict` alone, and the collector runs."
        if rule in WARNINGS
        else "An error: what is declared here is not used; where there was a valid version before, "
        "that runs on."
    )
    page = f"# {rule}\n\n{meaning}\n\n{severity}\n"
    if example is None:
        return page
    text, told = example
    return (
        f"{page}\nSuch as here:\n\n```text\n{text.strip()}\n```\n\nof which `validate` "
        "says:\n\n```text\n"
        f"{told['line']}:{told['column']}: {told['severity']}: {told['message']} [{rule}]\n```\n"
    )


def _fields(whole: dict[str, Any], definition: str, path: str) -> Iterator[str]:
    yield "| field | value | default | meaning |"
    yield "|---|---|---|---|"
    yield from _rows(whole["definitions"], whole["definitions"][definition], path)


def _rows(definitions: dict[str, Any], owner: dict[str, Any], path: str) -> Iterator[str]:
    for key, field in owner["properties"].items():
        inner = (
            definitions[field["allOf"][0]["$ref"].rpartition("/")[2]] if "allOf" in field else field
        )
        needed = "required" if key in _required(owner) else _default(field)
        is_again = inner is definitions["SecretRef"] and (key, path) != ("password", "spec.source")
        meaning = field["description"] + " As `spec.source.password`." * is_again
        yield f"| `{path}.{key}` | {_value(inner)} | {needed} | {meaning} |"
        if "properties" in inner and not is_again:
            yield from _rows(definitions, inner, f"{path}.{key}")


def _required(owner: dict[str, Any]) -> list[str]:
    return [key for condition in owner.get("allOf", ()) for key in condition.get("required", ())]


def _default(field: dict[str, Any]) -> str:
    return f"`{json.dumps(field['default']).strip(chr(34))}`" if "default" in field else ""


def _value(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if field["type"] == "array":
        return f"list of {_value(field['items'])}"
    if field["type"] == "object":
        return "mapping" if "properties" in field else "mapping of text to text"
    if field["type"] == "integer":
        return f"{field['minimum']} … {field['maximum']}"
    if field["type"] == "boolean":
        return "`true`, `false`"
    rule = PATTERNS[field["pattern"]][0] if "pattern" in field else "text"
    return _NAMES.get(rule, rule)


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), encoding="utf-8")
