"""Templates: merging, the places of diagnostics, and a single reading for all collectors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.manifests import loading, manifest_set, parallel_check, parallel_parsing
from reconciler.manifests.diagnostics import Severity
from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor
from reconciler.manifests.editing.yaml_patch import Setting, apply_settings
from reconciler.manifests.effective_manifest import digest, resolve_paths
from reconciler.manifests.loading import ParsedFile, parse
from reconciler.manifests.manifest_set import gather_templates, load_set
from reconciler.manifests.parallel_check import check_files
from reconciler.manifests.templates.template_index import Templates, may_hold
from reconciler.manifests.templates.template_merge import ALTERNATIVES, FILES
from reconciler.manifests.validation import validate
from reconciler.manifests.yaml import document_reader
from reconciler.model.spec import MailCollector
from tests.manifests.test_agreement import mutants

OFFICE = """\
apiVersion: mailcollector/v1
kind: Template
metadata: {name: office}
spec:
  source:
    protocol: imap
    host: imap.example.org
    password: {file: "secrets/{name}"}
    folders: [INBOX, Sent]
  collect: {interval: 10m}
"""
SALES = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  from: office
  source: {username: sales@example.org}
  recipient: {forwardTo: sales@example.net}
"""
LONG_AGO = 1_700_000_000


def spec(template: str, own: str) -> dict[str, Any]:
    """Return the merged spec of a collector and a template, both given as flow mappings."""
    head = "apiVersion: mailcollector/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
    text = (
        head.format("Template", "office", template)
        + "---\n"
        + head.format("MailCollector", "sales", own.replace("{", "{from: office, ", 1))
    )
    parsed = parse(text.encode(), "a.yaml")
    assert [one for one in parsed.diagnostics if one.is_error] == []
    (loaded,) = parsed.manifests
    declared = loaded.manifest.declared()["spec"]
    assert declared.pop("from") == "office"
    return dict(declared)


WHOLE = """{source: {protocol: imap, host: h, username: u, password: {file: s}, folders: [A, B],
                     caFile: ca},
 collect: {interval: 1h, limit: 7},
 recipient: {detect: {from: [a.b], to: c.d, aliases: {a: b}}}, title: T}"""


@pytest.mark.parametrize(
    ("own", "path", "value"),
    [
        ("{}", ("title",), "T"),
        ("{title: Mine}", ("title",), "Mine"),
        ("{collect: {interval: 2h}}", ("collect", "interval"), "2h"),
        ("{collect: {interval: 2h}}", ("collect", "limit"), 7),
        ("{source: {folders: [C]}}", ("source", "folders"), ["C"]),
        ("{source: {password: {env: P}}}", ("source", "password"), {"env": "P"}),
        (
            "{source: {oauth2: {provider: google, clientId: i, refreshToken: {env: P}}}}",
            ("source", "password"),
            None,
        ),
        (
            f"{{source: {{password: {{env: P}}, fingerprint: '{'ab' * 32}'}}}}",
            ("source", "caFile"),
            None,
        ),
        ("{recipient: {forwardTo: x@y}}", ("recipient",), {"forwardTo": "x@y"}),
        (
            "{recipient: {detect: {aliases: {c: d}}}}",
            ("recipient", "detect", "aliases"),
            {"a": "b", "c": "d"},
        ),
        ("{recipient: {detect: {from: [e.f]}}}", ("recipient", "detect", "from"), ["e.f"]),
        ("{enabled: false}", ("enabled",), False),
    ],
)
def test_what_the_collector_says_wins_and_what_excludes_it_goes(
    own: str, path: tuple[str, ...], value: object
) -> None:
    found: Any = spec(WHOLE, own)
    for key in path:
        found = found.get(key)
    assert found == value


def test_every_group_of_alternatives_and_every_path_is_known() -> None:
    assert ALTERNATIVES[("source",)] == (("password", "oauth2"), ("fingerprint", "caFile"))
    assert ALTERNATIVES[("recipient",)] == (("forwardTo", "detect"),)
    assert set(ALTERNATIVES) == {
        ("source",),
        ("recipient",),
        *(place[:-1] for place in FILES if place[-1] == "file"),
    }
    assert {"/".join(place) for place in FILES} == {
        "source/caFile",
        "source/password/file",
        "source/oauth2/caFile",
        "source/oauth2/clientSecret/file",
        "source/oauth2/refreshToken/file",
    }


def test_the_digest_is_that_of_the_same_spec_written_out() -> None:
    (merged,) = parse(f"{OFFICE}---\n{SALES}".encode(), "a.yaml").manifests
    (plain,) = parse(
        SALES.replace("  from: office\n", "  collect: {interval: 10m}\n")
        .replace(
            "{username",
            "{protocol: imap, host: imap.example.org, password: {file: secrets/sales}, folders: "
            "[INBOX, Sent], username",
        )
        .encode(),
        "a.yaml",
    ).manifests
    assert digest(merged.manifest.spec) == digest(plain.manifest.spec)


def files(root: Path, **texts: str) -> list[Path]:
    written = []
    for name, text in texts.items():
        path = root / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (LONG_AGO, LONG_AGO))
        written.append(path)
    return written


@pytest.mark.parametrize("place", ["office", "shared__office"])
def test_a_templates_paths_start_at_its_own_file(tmp_path: Path, place: str) -> None:
    paths = files(tmp_path, **{place: OFFICE, "sales": SALES})
    (loaded,) = load_set(paths).results[1].manifests
    assert isinstance(loaded.manifest, MailCollector)
    password = resolve_paths(loaded.manifest, loaded.base).spec.source.password
    assert password is not None
    assert password.file == str(paths[0].parent / "secrets/sales")


def test_what_is_wrong_with_a_template_is_told_there_and_lints_are_told_once() -> None:
    text = (
        OFFICE.replace("host: imap", "tls: none\n    host: imap")
        + f"---\n{SALES}---\n{SALES.replace('sales', 'b')}"
    )
    parsed = parse(text.encode(), "a.yaml")
    assert [(one.line, one.path, one.rule) for one in parsed.diagnostics] == [
        (7, "spec.source.tls", "tls-none")
    ]
    assert len(parsed.manifests) == 2


def test_a_lint_of_both_together_is_told_where_the_template_is_named() -> None:
    text = (
        OFFICE.replace("host: imap.example.org", "tls: none")
        + "---\n"
        + SALES.replace("{username", "{host: imap.example.org, username")
    )
    (found,) = parse(text.encode(), "a.yaml").diagnostics
    assert (found.line, found.column, found.rule, found.severity) == (
        16,
        9,
        "tls-none",
        Severity.WARNING,
    )
    assert found.message.endswith("(it comes from the template `office` in a.yaml)")


def test_rules_over_all_files_see_the_whole_spec(tmp_path: Path) -> None:
    files(
        tmp_path,
        office=OFFICE.replace("protocol:", "username: all@example.org\n    protocol:")
        + "  destination: gone\n",
        sales=SALES.replace("  source: {username: sales@example.org}\n", ""),
        other=SALES.replace("sales", "other").replace(
            "  source: {username: other@example.org}\n", ""
        ),
    )
    assert {(Path(one.file).name, one.line, one.rule) for one in validate([tmp_path])} == {
        (name, 5, rule)
        for name in ("other.yaml", "sales.yaml")
        for rule in ("unknown-destination", "shared-account")
    }


def test_without_its_template_a_file_alone_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    _, sales = files(tmp_path, office=OFFICE, sales=SALES.replace("username", "usrname"))
    found = {one.rule: one.severity for one in validate([sales])}
    assert found == {"unknown-template": Severity.WARNING, "unknown-key": Severity.ERROR}


def test_a_template_that_no_word_gives_away_is_found() -> None:
    assert may_hold(rb'kind: "Templ\u0061te"')
    assert may_hold(b"kind: &k Template")
    assert not may_hold(SALES.encode())


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the files that are parsed in this process."""
    parsed: list[str] = []

    def noted(
        data: bytes, file: str, templates: Templates, *, allow_inline_secrets: bool = False
    ) -> ParsedFile:
        parsed.append(Path(file).name)
        return loading.parse(data, file, templates, allow_inline_secrets=allow_inline_secrets)

    monkeypatch.setattr(manifest_set, "parse", noted)
    monkeypatch.setattr(parallel_check, "MANY", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    return parsed


def test_many_files_are_judged_again_when_their_template_is_another_one(
    tmp_path: Path, loads: list[str]
) -> None:
    plain = SALES.replace("sales", "plain").replace("from: office", "destination: d")
    paths = files(tmp_path, office=OFFICE, sales=SALES, plain=plain)
    kept = tmp_path / "kept.json"
    first = check_files(paths, kept=kept)
    assert loads == ["office.yaml", "sales.yaml", "plain.yaml"]
    loads.clear()
    assert [one.valid for one in first] == [1, 1, 0]
    assert check_files(paths, kept=kept) == first
    assert loads == ["office.yaml"]  # for what it says
    loads.clear()

    files(tmp_path, office=OFFICE + "# a comment changes nothing\n")
    assert check_files(paths, kept=kept) == first
    assert loads == ["office.yaml"]
    loads.clear()

    files(tmp_path, office=OFFICE.replace("interval: 10m", "interval: 4s"))
    assert [one.valid for one in check_files(paths, kept=kept)] == [0, 0, 0]
    assert loads == ["office.yaml", "sales.yaml"]

    paths[0].unlink()
    (found,) = check_files(paths[1:], kept=kept)[0].diagnostics
    assert found.rule == "unknown-template"


def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"s{number}": SALES.replace("sales", f"s{number}") for number in range(6)}
    paths = files(
        tmp_path, shared__office=OFFICE, **texts, wrong=SALES.replace("from: office", "from: ofice")
    )
    alone = check_files(paths)
    monkeypatch.setattr(parallel_check, "MANY", 2)
    monkeypatch.setattr(parallel_parsing, "MANY", 2)
    monkeypatch.setattr(parallel_parsing, "_AT_ONCE", 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert check_files(paths) == alone
    assert [len(one.diagnostics) for one in alone] == [0] * 7 + [1]


def test_two_of_one_name_are_none() -> None:
    templates = gather_templates(
        [parse(OFFICE.encode(), "a.yaml"), parse(OFFICE.encode(), "b.yaml")]
    )
    office = templates.find("office")
    assert office is not None
    assert office.fields("", "sales") is None
    assert office.error == "it stands in a.yaml:1 and b.yaml:1"


def test_verbs_change_what_has_a_template(tmp_path: Path) -> None:
    files(tmp_path, office=OFFICE, sales=SALES)
    editor = ManifestEditor(tmp_path)
    editor.change(
        "sales", lambda own: apply_settings(own, [Setting(("spec", "collect", "limit"), 7)])
    )
    (loaded,) = load_set([tmp_path / "office.yaml", tmp_path / "sales.yaml"]).results[1].manifests
    assert loaded.manifest.declared()["spec"]["collect"] | {"maxMessageSize": ""} == {
        "mode": "new-keep",
        "interval": "10m",
        "limit": 7,
        "push": False,
        "maxMessageSize": "",
    }
    with pytest.raises(EditRefused) as refused:
        ManifestEditor(tmp_path).change(
            "sales", lambda own: own.replace("from: office", "from: ofice")
        )
    assert [one.rule for one in refused.value.diagnostics] == ["unknown-template"]
    ManifestEditor(tmp_path).add("other", SALES.replace("sales", "other").encode())
    assert ManifestEditor(tmp_path).names() == ["other", "sales"]


@settings(max_examples=80, deadline=None)
@given(st.lists(mutants(), min_size=1, max_size=4))
def test_whatever_stands_there_each_collector_is_valid_or_told_of_in_its_own_place(
    manifests: list[Any],
) -> None:
    template = document_reader.read(OFFICE.encode())[0][0].root.value
    text = "\n---\n".join(json.dumps(one) for one in (*manifests, template))
    assume(document_reader.read(text.encode())[1] is None)
    parsed = parse(text.encode(), "a.yaml")
    lines = [one.line for one in parsed.diagnostics if one.is_error]
    for broken in parsed.broken:
        assert broken.line in lines
        assert broken.message
    for found in parsed.templates:
        assert found.error or found.fields("", "x") is not None
    for loaded in parsed.manifests:
        assert loaded.line not in lines
