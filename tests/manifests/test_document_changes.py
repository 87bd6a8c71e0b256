"""Changes of a document by data, hidden secrets, and differences of files."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests.editing.document_changes import (
    in_place_of,
    plain_data,
    with_data,
    with_enabled,
)
from reconciler.manifests.editing.inline_secrets import (
    SecretHidden,
    digest,
    hide_secrets,
    hide_secrets_in_data,
    restore_secrets,
)
from reconciler.manifests.editing.unified_diff import unified_diff

OWN = """\
# ours
kind: MailCollector
metadata: {name: a}   # short
spec:
  source:
    folders: [INBOX]  # more later
    host: 'h'
  title: "x"
"""


def _with(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "MailCollector",
        "metadata": {"name": "a"},
        "spec": {"source": {"folders": ["INBOX"], "host": "h"}, "title": "x"} | spec,
    }


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (_with(), OWN),
        (_with(title="y"), OWN.replace('"x"', '"y"')),
        (_with(title=None), OWN.replace('  title: "x"\n', "")),
        (_with(limit=1), OWN + "  limit: 1\n"),
        (_with(limit=None), OWN),
        (
            _with(source={"folders": ["INBOX", "Sent"], "host": "h"}),
            OWN.replace("[INBOX]", "[INBOX, Sent]"),
        ),
        (_with(title="yes"), OWN.replace('"x"', '"yes"')),
        (_with(collect={"limit": 1, "mode": None}), OWN + "  collect: {limit: 1}\n"),
    ],
)
def test_only_what_differs_is_written(data: dict[str, Any], after: str) -> None:
    assert with_data(OWN, data) == after


def test_many_fields_at_once_are_written_too() -> None:
    labels = {f"l{number}": str(number) for number in range(200)}
    data = _with() | {"metadata": {"name": "a", "labels": labels}}
    first = with_data(OWN, data)
    assert plain_data(first) == data
    other = {key: f"{value}0" for key, value in labels.items()}
    data = _with() | {"metadata": {"name": "a", "labels": other}}
    after = with_data(first, data)
    assert plain_data(after) == data
    assert "# more later" in after


@pytest.mark.parametrize("value", [True, 1, 1.5, "1", "true", [], {}, [{"a": [1]}], "a: b #c\n"])
def test_each_value_comes_back_as_it_was(value: Any) -> None:
    assert plain_data(with_data(OWN, _with(title=value)))["spec"]["title"] == value


def test_what_is_no_mapping_is_written_anew() -> None:
    assert plain_data(with_data("- a\n", _with())) == _with()


def test_a_collector_is_enabled_by_default_unless_a_template_may_say_otherwise() -> None:
    assert with_enabled(OWN, enabled=True) == OWN
    assert with_enabled(OWN, enabled=False) == OWN + "  enabled: false\n"
    templated = OWN + "  from: t\n"
    assert with_enabled(templated, enabled=True) == templated + "  enabled: true\n"


def test_a_text_takes_the_place_between_others() -> None:
    assert in_place_of("---\na: 1\n", "a: 2") == "---\na: 2\n"
    assert in_place_of("---\na: 1\n", "# x\n---\na: 2\n") == "# x\n---\na: 2\n"
    assert in_place_of("a: 1\n", "a: 2\n") == "a: 2\n"


SECRETS = """\
spec:
  password: {value: hunter2}
  # value: not one
  title: {value: shown}
  oauth2:
    clientSecret:
      value: |
        hunter2
    refreshToken: {file: value}
    scope: [{password: {value: 'hunter2'}}, value]
---
password:
  value: "hunter2"  # here
"""


def test_secrets_in_the_text_are_hidden_and_nothing_else() -> None:
    shown = hide_secrets(SECRETS)
    assert "hunter2" not in shown
    assert shown == (
        SECRETS.replace("value: hunter2", 'value: "[redacted]"')
        .replace("|\n        hunter2", '"[redacted]"')
        .replace("'hunter2'", '"[redacted]"')
        .replace('"hunter2"', '"[redacted]"')
    )
    assert hide_secrets(OWN) == OWN


def test_a_hidden_secret_that_comes_back_is_what_it_was() -> None:
    own = 'spec: {password: {value: "hunter2"}, title: a}  # x\n'
    assert hide_secrets_in_data(plain_data(own))["spec"]["password"] == {"value": "[redacted]"}
    shown = hide_secrets(own).replace("title: a", "title: b")
    assert restore_secrets(shown, own) == own.replace("title: a", "title: b")
    assert restore_secrets(own, None) == own
    for before in (None, "spec: {title: a}\n", "[a]\n"):
        with pytest.raises(SecretHidden):
            restore_secrets(shown, before)


def test_the_digest_of_a_secret_is_no_help_to_guess_it() -> None:
    own = "spec: {password: {value: hunter2}}\n"
    assert digest(own) == digest(own) != digest(own.replace("2", "3"))
    assert digest(own) != hashlib.sha256(own.encode()).hexdigest()
    assert digest(OWN) == hashlib.sha256(OWN.encode()).hexdigest()


LINES = [f"line {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "a\nb\n"),
        (None, "a"),
        ("a\nb\n", None),
        ("a\n", "a"),
        ("a", "a\nb"),
        ("\n".join(LINES), "\n".join([*LINES[:7], "new", *LINES[9:30], *LINES[33:]])),
        ("\n".join(LINES), "\n".join([*LINES[:20], *LINES[:20], *LINES[20:]])),
        ("a\r\nb\u2028c\n", "a\r\nb\u2028d\n"),
        ("x\nx\nx\n", "x\nx\n"),
    ],
)
def test_a_diff_is_what_git_applies(tmp_path: Path, before: str | None, after: str | None) -> None:
    file = tmp_path / "a b.yaml"
    if before is not None:
        file.write_bytes(before.encode())
    (tmp_path / "patch").write_bytes(unified_diff(before, after, "a b.yaml").encode())
    subprocess.run(["git", "apply", "patch"], cwd=tmp_path, check=True)
    assert (file.read_bytes().decode() if file.exists() else None) == after


def test_no_difference_is_nothing() -> None:
    assert unified_diff("a\n", "a\n", "a") == ""
