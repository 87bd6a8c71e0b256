"""Validation of paths, and its output."""

from __future__ import annotations

import json
import os
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from reconciler.manifests.checks.rule_catalogue import RULES
from reconciler.manifests.reports import report_formats
from reconciler.manifests.validation import NoSuchPath, validate
from tests.manifests.samples import COLLECTOR, DESTINATION

WRONG = COLLECTOR.replace("protocol: imap", "protocol: imap4")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(COLLECTOR)
    (tmp_path / "b.yaml").write_text(WRONG.replace("sales", "trade"))
    return tmp_path


def test_directory_files_and_both_name_a_file_once(directory: Path) -> None:
    validation = validate([directory, directory / "b.yaml"])
    assert (len(validation.files), validation.manifests, validation.failed) == (2, 1, True)
    assert [one.rule for one in validation] == ["choice"]


def test_default_is_collectors_d(directory: Path) -> None:
    with chdir(directory):
        with pytest.raises(NoSuchPath, match=r"collectors\.d"):
            validate()
        Path("collectors.d").mkdir()
        assert validate().files == ()


def test_path_that_does_not_exist_is_a_mistake_in_the_call(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath, match="nowhere"):
        validate([tmp_path / "nowhere"])


def test_offline_no_secret_and_no_ca_file_is_opened(tmp_path: Path) -> None:
    text = COLLECTOR.replace("    host", "    caFile: nowhere.pem\n    host").replace(
        "sales.secret", "/nowhere/at/all"
    )
    (tmp_path / "a.yaml").write_text(text)
    assert list(validate([tmp_path])) == []


def test_text_shows_the_line_with_a_caret(directory: Path) -> None:
    with chdir(directory):
        text = report_formats.text(validate([Path("b.yaml")]))
    assert text == (
        "b.yaml:7:15: error: `protocol` cannot be `imap4`: did you mean `imap`? [choice]\n"
        "        protocol: imap4\n"
        "                  ^\n"
        "1 error in 1 file; `mailcollector explain choice` tells more\n"
    )


def test_text_without_errors_says_what_was_read(directory: Path) -> None:
    assert (
        report_formats.text(validate([directory / "a.yaml"])) == "1 manifest in 1 file: no errors\n"
    )
    (directory / "b.yaml").unlink()
    (directory / "c.yaml").write_text(DESTINATION + "  default: true\n")
    assert report_formats.text(validate([directory])) == "2 manifests in 2 files: no errors\n"


def test_text_in_colour(directory: Path) -> None:
    text = report_formats.text(validate([directory]), colour=True)
    assert "\x1b[1;31merror\x1b[0m" in text


@pytest.mark.parametrize(
    "line",
    [
        "password: {value: hunter2}",
        "password: hunter2",
        "passwd: hunter2",
        "password: {value: 'hunter2', x: y}",
        '"password": "hunter2"',
        "token: hunter2",
        "pass: !x hunter2",
        "password: hunter2, with a comma",
        "password: [hunter2, hunter2]",
        'password: "hun\\qhunter2"',
    ],
)
def test_S1_no_report_shows_a_secret_that_stands_in_the_file(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.yaml").write_text(COLLECTOR.replace("password: {file: sales.secret}", line))
    validation = validate([tmp_path])
    assert validation.failed
    for reporter in report_formats.REPORTERS.values():
        assert "hunter2" not in reporter(validation)


@pytest.mark.parametrize(
    "reporter", report_formats.REPORTERS.values(), ids=report_formats.REPORTERS.keys()
)
def test_M14_control_characters_are_escaped(
    tmp_path: Path, reporter: report_formats.Reporter
) -> None:
    text = COLLECTOR.replace(
        "protocol: imap", '"\\e[2J\\u202e\\r\\n::error::x": 1\n    protocol: "\\e]0;x\\a"'
    )
    (tmp_path / "a\x1b[31m\n.yaml").write_text(text)
    report = reporter(validate([tmp_path]))
    assert "\\x1b" in report or "\\u001b" in report
    assert not any(char in report for char in "\x1b\x07\u202e\r")


def test_json_is_the_contract_s(directory: Path) -> None:
    (found,) = json.loads(report_formats.as_json(validate([directory])))
    assert found == {
        "file": str(directory / "b.yaml"),
        "line": 7,
        "column": 15,
        "path": "spec.source.protocol",
        "rule": "choice",
        "severity": "error",
        "message": "`protocol` cannot be `imap4`: did you mean `imap`?",
    }
    assert report_formats.as_json(validate([directory / "a.yaml"])) == "[]\n"


def test_github_gets_workflow_commands(tmp_path: Path) -> None:
    (tmp_path / "a,b:c%.yaml").write_text(WRONG)
    with chdir(tmp_path):
        text = report_formats.github(validate([Path("a,b:c%.yaml")]))
    assert text == (
        "::error file=a%2Cb%3Ac%25.yaml,line=7,col=15,title=choice::`protocol` cannot be `imap4`: "
        "did you mean `imap`?\n"
    )


def test_sarif_is_one_run_with_every_rule_and_place(tmp_path: Path) -> None:
    """The log has everything that the SARIF schema requires.

    The schema itself is not available here. Sarif.Multitool (npm) accepts the log.
    """
    (tmp_path / "a b:с.yaml").write_text(WRONG)
    with chdir(tmp_path):
        report = json.loads(report_formats.REPORTERS["sarif"](validate([Path("a b:с.yaml")])))
    assert report["version"] == "2.1.0"
    assert report["$schema"].endswith("/sarif-schema-2.1.0.json")
    (run,) = report["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    assert all(rule["shortDescription"]["text"].endswith(".") for rule in rules)
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "choice"
    assert (result["level"], result["message"]) == (
        "error",
        {"text": "`protocol` cannot be `imap4`: did you mean `imap`?"},
    )
    (location,) = result["locations"]
    assert location == {
        "physicalLocation": {
            "artifactLocation": {"uri": "a%20b%3A%D1%81.yaml"},
            "region": {"startLine": 7, "startColumn": 15},
        },
        "logicalLocations": [{"fullyQualifiedName": "spec.source.protocol"}],
    }


def test_sarif_levels_and_absolute_files(directory: Path) -> None:
    (directory / "c.yaml").write_text(
        COLLECTOR.replace("imap.example.org", "imap.gmail.com")
        .replace("protocol: imap", "protocol: imap\n    tls: none")
        .replace("sales", "trade3")
    )
    results = json.loads(report_formats.REPORTERS["sarif"](validate([directory])))["runs"][0][
        "results"
    ]
    assert [result["level"] for result in results] == ["error", "warning", "note"]
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == (directory / "b.yaml").as_uri()


def test_junit_fails_files_with_errors_and_tells_warnings(directory: Path) -> None:
    (directory / "c.yaml").write_text(
        COLLECTOR.replace("imap\n", "imap\n    tls: none\n").replace("sales", "trade3")
    )
    with chdir(directory):
        suites = ET.fromstring(report_formats.REPORTERS["junit"](validate([Path()])))
    assert (suites.get("tests"), suites.get("failures")) == ("3", "1")
    good, bad, warned = suites.iter("testcase")
    assert (good.get("name"), list(good)) == ("a.yaml", [])
    (failure,) = bad
    assert (failure.tag, failure.get("type")) == ("failure", "choice")
    assert (failure.text or "").startswith("b.yaml:7:15: error: ")
    (output,) = warned
    assert output.tag == "system-out"
    assert "[tls-none]" in (output.text or "")


def test_file_that_is_gone_when_it_is_shown_has_no_excerpt(directory: Path) -> None:
    validation = validate([directory])
    (directory / "b.yaml").unlink()
    assert len(report_formats.text(validation).splitlines()) == 2


def test_standard_input_and_fifos_are_read(tmp_path: Path) -> None:
    bad = b"apiVersion: mailcollector/v1\nkind: MailCollecter\nmetadata: {name: a}\nspec: {}\n"

    found = validate([Path("-")], standard_input=lambda: bad)
    assert [(one.file, one.line, one.rule) for one in found.diagnostics] == [
        ("-", 2, "unknown-kind")
    ]
    assert "kind: MailCollecter\n          ^" in report_formats.text(found)

    reading, writing = os.pipe()
    os.write(writing, bad)
    os.close(writing)
    again = validate([Path(f"/dev/fd/{reading}")])
    os.close(reading)
    assert [one.rule for one in again.diagnostics] == ["unknown-kind"]


def test_code_quality_tells_equal_mistakes_apart(tmp_path: Path) -> None:
    bad = b"apiVersion: mailcollector/v1\nkind: Nothing\nmetadata: {name: a}\nspec: {}\n"
    validation = validate([Path("-")], standard_input=lambda: bad + b"---\n" + bad)
    found = json.loads(report_formats.REPORTERS["gitlab"](validation))

    assert {one["check_name"] for one in found} == {"unknown-kind"}
    assert len({one["fingerprint"] for one in found}) == len(found) == 2
    assert found[0]["location"] == {"path": "-", "lines": {"begin": 2}}
