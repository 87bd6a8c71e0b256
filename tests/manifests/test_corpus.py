"""Every file of the corpus has exactly the expected diagnostics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.manifests.checks.rule_catalogue import RULES
from tests.manifests.corpus import INVALID, ROOT, VALID, expectation, said

TESTED_ELSEWHERE = {
    "directory-vanished",
    "file-unreadable",
    "file-not-regular",
    "file-too-large",
    "too-many-values",
    "file-name",
    "directories-too-deep",
    "too-many-entries",
    "link-leads-out",
    "internal",
    "too-many-errors",
    "template-secret",
    "several-manifests",
    "other-manifest",
    *(rule for rule in RULES if rule.startswith("policy-")),
    "model",
    "refresh-token-in-git",
}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    assert [found for found in said(path) if found["severity"] == "error"] == []


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    assert said(path) == json.loads(expectation(path).read_text("utf-8"))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_something_is_wrong_with_every_invalid_one(path: Path) -> None:
    expected = json.loads(expectation(path).read_text("utf-8"))
    assert any(found["severity"] == "error" for found in expected)
    assert all(
        found["line"] >= 1 and found["column"] >= 1 and found["message"] for found in expected
    )


def test_no_expectation_without_a_case() -> None:
    assert {path.name for path in (ROOT / "invalid").glob("*.json")} == {
        expectation(path).name for path in INVALID
    }


def test_every_rule_is_in_the_corpus_and_every_id_in_the_catalogue() -> None:
    expected = [json.loads(expectation(path).read_text("utf-8")) for path in INVALID]
    warned = [said(path) for path in VALID]
    rules = {found["rule"] for case in (*expected, *warned) for found in case}
    elsewhere = TESTED_ELSEWHERE | {rule for rule in RULES if rule.startswith("policy-")}
    assert rules == RULES.keys() - elsewhere


def test_never_the_library_s_own_words() -> None:
    words = "".join(expectation(path).read_text("utf-8") for path in INVALID)
    for raw in (
        "is not valid under any",
        "does not match",
        "is not of type",
        "Additional properties",
        "required property",
        "is not one of",
        "while parsing",
        "while scanning",
        "found character",
    ):
        assert raw not in words


def test_no_secret_is_quoted() -> None:
    words = "".join(expectation(path).read_text("utf-8") for path in INVALID)
    assert "hunter2" not in words
    assert "0777123" not in words
