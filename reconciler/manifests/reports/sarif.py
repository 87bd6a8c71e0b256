"""Diagnostics as SARIF 2.1.0 (OASIS), which GitHub's code scanning, GitLab, Azure DevOps and
editors read."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reconciler.manifests.checks.rule_catalogue import RULES, WARNINGS
from reconciler.manifests.diagnostics import Diagnostic, Severity
from reconciler.manifests.validation import Validation
from reconciler.model.harmless_text import json_text

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_INDEX = {rule: index for index, rule in enumerate(RULES)}


def report(validation: Validation) -> str:
    """Return a log with one run: the descriptions of all rules, and a result for each
    diagnostic."""
    driver = {
        "name": "mailcollector",
        "version": metadata.version("mailcollector"),
        "rules": [_rule(rule, meaning) for rule, meaning in RULES.items()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found) for found in validation],
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _rule(rule: str, meaning: str) -> dict[str, Any]:
    first, stop, _ = meaning.partition(". ")
    severity = "warning" if rule in WARNINGS else "error"
    more = f"`mailcollector explain {rule}` tells it, too."
    return {
        "id": rule,
        "name": "".join(map(str.capitalize, rule.split("-"))),
        "shortDescription": {"text": first + "." * bool(stop)},
        "fullDescription": {"text": meaning},
        "help": {"text": f"{meaning} {more.replace('`', '')}", "markdown": f"{meaning}\n\n{more}"},
        "defaultConfiguration": {"level": severity},
        "properties": {"tags": ["configuration"]},
    }


def _result(found: Diagnostic) -> dict[str, Any]:
    where: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(found.file)},
            "region": {"startLine": found.line, "startColumn": found.column},
        }
    }
    if found.path:
        where["logicalLocations"] = [{"fullyQualifiedName": found.path}]
    return {
        "ruleId": found.rule,
        "ruleIndex": _INDEX[found.rule],
        "level": _LEVELS[found.severity],
        "message": {"text": found.message},
        "locations": [where],
    }


def _uri(file: str) -> str:
    """Return a file's URI (RFC 3986). Relative paths stay relative to the current directory."""
    path = Path(file)
    name = quote(path.as_posix(), safe="/", errors="surrogateescape")
    return f"file://{name}" if path.is_absolute() else name
