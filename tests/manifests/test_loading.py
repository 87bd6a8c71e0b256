"""Parsing of bytes into manifests: valid, invalid and unreadable ones."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from reconciler.manifests.diagnostics import Severity
from reconciler.manifests.loading import parse
from reconciler.model.spec import MailCollector
from tests.manifests.samples import COLLECTOR, DESTINATION


def test_valid_manifest() -> None:
    parsed = parse(COLLECTOR.encode(), "dir/a.yaml")
    (loaded,) = parsed.manifests
    assert (loaded.kind, loaded.name, loaded.file, loaded.line, loaded.base) == (
        "MailCollector",
        "sales",
        "dir/a.yaml",
        1,
        "dir",
    )
    assert isinstance(loaded.manifest, MailCollector)
    assert loaded.manifest.spec.source.effective_port == 993
    assert parsed.complete
    assert not parsed.diagnostics
    assert not parsed.broken


def test_invalid_document_leaves_the_others_of_its_file_valid() -> None:
    wrong = COLLECTOR.replace("protocol: imap", "protocol: imap4")
    parsed = parse(f"{wrong}---\n{DESTINATION}".encode(), "a.yaml")
    assert [manifest.name for manifest in parsed.manifests] == ["local"]
    assert [(broken.kind, broken.name, broken.line) for broken in parsed.broken] == [
        ("MailCollector", "sales", 1)
    ]
    assert "imap4" in parsed.broken[0].message
    assert parsed.complete


@pytest.mark.parametrize(
    "text",
    [
        COLLECTOR.replace("  name: sales\n", "  labels: {}\n"),
        COLLECTOR.replace("MailCollector", "Collector"),
        "- a\n",
        "",
        "# a\n",
        COLLECTOR.replace("name: sales", "name: 010"),
        COLLECTOR.replace("name: sales", "name: Sales"),
    ],
)
def test_document_without_a_usable_name_makes_its_file_incomplete(text: str) -> None:
    parsed = parse(text.encode(), "a.yaml")
    assert not parsed.broken
    assert not parsed.manifests
    assert not parsed.complete
    assert parsed.diagnostics


def test_warnings_do_not_break_a_manifest() -> None:
    parsed = parse(
        COLLECTOR.replace("protocol: imap", "protocol: imap\n    tls: none").encode(), "a.yaml"
    )
    assert [one.severity for one in parsed.diagnostics] == [Severity.WARNING]
    assert len(parsed.manifests) == 1


def test_inline_secret_is_an_error_unless_it_is_allowed() -> None:
    text = COLLECTOR.replace("{file: sales.secret}", "{value: hunter2}").encode()
    refused, allowed = parse(text, "a.yaml"), parse(text, "a.yaml", allow_inline_secrets=True)
    assert [(one.rule, one.severity) for one in refused.diagnostics] == [
        ("inline-secret", Severity.ERROR)
    ]
    assert refused.manifests == ()
    assert [(one.rule, one.severity) for one in allowed.diagnostics] == [
        ("inline-secret", Severity.WARNING)
    ]
    assert len(allowed.manifests) == 1


def test_model_that_refuses_what_the_schema_accepts_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object) -> MailCollector:
        raise ValidationError.from_exception_data(
            "x", [{"type": "string_type", "loc": ("spec", "source", "host"), "input": "hunter2"}]
        )

    monkeypatch.setattr(MailCollector, "model_validate", refuse)
    parsed = parse(COLLECTOR.encode(), "a.yaml")
    (found,) = parsed.diagnostics
    assert (found.rule, found.line, found.path) == ("model", 8, "spec.source.host")
    assert "hunter2" not in found.message
    assert [broken.name for broken in parsed.broken] == ["sales"]


def test_misspelt_key_is_one_mistake_and_not_two() -> None:
    parsed = parse(
        COLLECTOR.replace("username:", "usrname:").replace("password:", "pasword:").encode(),
        "a.yaml",
    )
    assert [one.rule for one in parsed.diagnostics] == ["unknown-key", "unknown-key"]


def test_file_with_thousands_of_errors_is_bounded() -> None:
    mailboxes = ", ".join(["1"] * 15_000)
    detect = f"detect: {{from: [a.org], to: b.org, mailboxes: [{mailboxes}]}}"
    text = COLLECTOR.replace("forwardTo: sales@example.net", detect)
    assert 100 < len(parse(text.encode(), "a.yaml").diagnostics) <= 1_002
