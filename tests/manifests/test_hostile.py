"""A directory with anything in it: each file has its diagnostic, and other files are unaffected."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests import directory_walk, loading
from reconciler.manifests.check_cache import place
from reconciler.manifests.directory_walk import list_files, walk
from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor
from reconciler.manifests.loading import load, parse
from reconciler.manifests.reports import report_formats
from reconciler.manifests.validation import Validation, validate
from reconciler.manifests.yaml import plain_scalars
from tests.endtoend.watched import manifest
from tests.manifests.hostile import GOOD, crowded, make
from tests.unprivileged import UNPRIVILEGED

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")
"""Characters that control a terminal or that cannot be encoded."""


def told(words: list[str]) -> tuple[list[dict[str, Any]], float]:
    """Return the JSON that the program prints, and its processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-c", "from reconciler.cli import main; main()", *words],
        check=False,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == ""
    assert done.returncode == 1
    return json.loads(done.stdout), after.ru_utime - before.ru_utime


def test_each_file_of_a_hostile_directory_has_its_diagnostic(tmp_path: Path) -> None:
    root = tmp_path / "collectors.d"
    rules = make(root)
    found, seconds = told(["validate", str(root), "--output", "json"])
    said = {(one["file"].removeprefix(f"{root}/"), one["rule"]) for one in found}
    assert {(path, rule) for path, rule in rules.items() if (path, rule) not in said} == set()
    assert not any(path.removesuffix(".yaml") in GOOD for path, _ in said)
    assert not any(rule in {"internal", "model"} for _, rule in said)
    assert "hunter2" not in json.dumps(found)  # what a link led to, outside
    assert seconds < 5


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    root = tmp_path_factory.mktemp("hostile") / "collectors.d"
    make(root)
    return validate([root])


@pytest.mark.parametrize("name", report_formats.REPORTERS)
def test_no_report_has_what_a_terminal_obeys_or_what_a_link_led_to(
    name: str, validation: Validation
) -> None:
    text = report_formats.REPORTERS[name](validation)
    assert OBEYED.search(text) is None
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "words",
    [
        "password: x" * 30_000,
        "pass" * 300_000,
        "a_secret" * 100_000,
        "token " * 100_000,
        "value" * 100_000 + ":",
        " " * 500_000 + "secret:",
        "x" * 1_900 + "token",
        "pass:" * 380 + "x",
        '"pass"' * 300 + ": hunter2",
    ],
)
def test_lines_of_any_length_are_shown_or_passed_over_at_once(words: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"- {words}\n- {{a: 1}}\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    text = report_formats.text(validate([tmp_path / "a.yaml"]))
    assert "hunter2" not in text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 2


@pytest.mark.parametrize(
    "number",
    [
        "0x" + "f" * 5000,
        "0o" + "7" * 5000,
        "0b" + "1" * 15_000,
        "-0x" + "F" * 5000,
        "1" + "0" * 4400,
        "0" * 5000 + "1",
        "-" + "9" * 100_000,
        "1e" + "9" * 5000,
        "." + "1" * 5000,
        "0b1_" + "1_" * 9000,
    ],
)
@pytest.mark.parametrize(
    "where", ["title: {}", "limit: [{}]", "? {} \n: {}", "{{a: {}}}", "- {}", "&a {}"]
)
def test_numbers_of_thousands_of_digits_in_any_base(number: str, where: str) -> None:
    parsed = parse(
        where.replace("{}", number).replace("{{", "{").replace("}}", "}").encode(), "a.yaml"
    )
    assert parsed.diagnostics
    assert not {"internal", "model"} & {one.rule for one in parsed.diagnostics}
    assert max(len(one.message) + len(one.path) for one in parsed.diagnostics) < 500


def test_a_long_plain_text_that_only_begins_like_a_number_is_text() -> None:
    assert plain_scalars.resolve("1.2.3-" + "4" * 100) == "1.2.3-" + "4" * 100
    assert plain_scalars.resolve("0123456789" * 10 + "x") == "0123456789" * 10 + "x"


def test_a_defect_of_ours_is_a_diagnostic_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a").replace("watched: 'yes'", "watched: 'hunter2'"))
    (tmp_path / "b.yaml").write_text(manifest("b"))
    original = loading._Parsed.of

    def fails(found: Any, file: str, *more: Any, **named: Any) -> Any:
        if file.endswith("a.yaml"):
            raise ZeroDivisionError("hunter2")
        return original(found, file, *more, **named)

    monkeypatch.setattr(loading._Parsed, "of", fails)
    found = validate([tmp_path])
    assert [(one.file, one.rule) for one in found] == [(str(tmp_path / "a.yaml"), "internal")]
    assert "ZeroDivisionError, manifests/loading.py:" in found.diagnostics[0].message
    assert "hunter2" not in found.diagnostics[0].message
    assert found.manifests == 1


def test_a_thousand_errors_are_enough_of_one_file_and_what_is_valid_counts_all_the_same() -> None:
    parsed = parse(b"--- {a: 1}\n" * 3000 + b"---\n" + manifest("last").encode(), "a.yaml")
    rules = [one.rule for one in parsed.diagnostics]
    assert rules.count("too-many-errors") > 2000
    assert len(rules) < 5000
    assert [one.name for one in parsed.manifests] == ["last"]


# Walks


def test_directories_are_entered_down_to_a_bound_and_none_is_hidden_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_walk, "DEEPEST", 3)
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    for directory in (tmp_path, deep.parent, deep):
        (directory / "x.yaml").touch()
    found = walk(tmp_path)
    assert found.files == [deep, deep.parent / "x.yaml", tmp_path / "x.yaml"]
    assert (
        load(deep, special_paths=found.special_paths).diagnostics[0].rule == "directories-too-deep"
    )


def test_a_directory_of_too_many_names_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_walk, "MOST_ENTRIES", 100)
    for name, count in (("a", 5), ("b", 1000), ("c", 1000), ("d", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.txt").touch()
        (tmp_path / name / "x.yaml").touch()
    found = walk(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found.files] == [
        "a/x.yaml",
        "b",
        "c",
        "d/x.yaml",
    ]
    assert {
        load(tmp_path / name, special_paths=found.special_paths).diagnostics[0].rule
        for name in "bc"
    } == {"too-many-entries"}


def test_a_root_of_too_many_names_is_not_read_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_walk, "MOST_ENTRIES", 10)
    for number in range(20):
        (tmp_path / f"{number}.yaml").touch()
    assert list_files(tmp_path) == [tmp_path]
    assert [one.rule for one in validate([tmp_path])] == ["too-many-entries"]


def test_a_link_to_a_large_tree_is_followed_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, small = tmp_path / "root", tmp_path / "small" / "below"
    small.mkdir(parents=True)
    root.mkdir()
    (small / "x.yaml").write_text(manifest("x"))
    (root / "small").symlink_to(tmp_path / "small")
    (root / "crowd").symlink_to(crowded(tmp_path / "outside"))
    (root / "again").symlink_to(tmp_path / "outside" / "crowd")
    (root / "z.yaml").write_text(manifest("z"))
    found = walk(root)
    assert [str(path.relative_to(root)) for path in found.files] == [
        "again",
        "small/below/x.yaml",
        "z.yaml",
    ]
    assert found.special_paths.leads_outside(root / "small" / "below" / "x.yaml")
    assert not found.special_paths.leads_outside(root / "z.yaml")
    assert [one.rule for one in validate([root])] == ["too-many-entries"]


def test_links_of_config_maps_and_git_sync_lead_nowhere_else(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026" / "broken.yaml").write_text("hello: ]\n")
    (volume / "..data").symlink_to("..2026")
    (volume / "broken.yaml").symlink_to("..data/broken.yaml")
    (tmp_path / "current").symlink_to("volume")
    for root in (volume, tmp_path / "current"):
        found = validate([root])
        assert [one.rule for one in found] == ["syntax"]
        assert "hello: ]" in report_formats.text(found)


def test_what_stands_outside_is_quoted_only_where_it_is_a_manifest(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "shared.yaml").write_text(manifest("shared").replace("interval", "intervall"))
    (outside / "secrets.yaml").write_text("database: {user: hunter2, hunter2: [}\n")
    (root / "shared.yaml").symlink_to("../outside/shared.yaml")
    (root / "secrets.yaml").symlink_to("../outside/secrets.yaml")
    (root / "below").symlink_to("../outside")
    text = report_formats.text(validate([root]))
    assert "hunter2" not in text
    assert text.count("link-leads-out") == 2
    assert "intervall" in text
    assert "hunter2" not in report_formats.text(
        validate([root / "secrets.yaml"])
    )  # as a shell names them


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_what_is_no_file_is_never_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    try:
        os.mknod(
            path,
            {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "device": stat.S_IFCHR}[kind] | 0o600,
            os.makedev(1, 3),
        )
    except PermissionError:
        path.symlink_to("/dev/null")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    assert [one.rule for one in load(path).diagnostics] == ["file-not-regular"]


# Verbs


def test_D5_a_document_behind_which_the_file_is_broken_is_not_edited(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("a") + "---\n{[\n")
    (tmp_path / "b.yaml").write_text(manifest("b"))
    editor = ManifestEditor(tmp_path)
    for act in (
        lambda: editor.declared("a"),
        lambda: editor.remove("a"),
        lambda: editor.change("a", str.upper),
    ):
        with pytest.raises(EditRefused, match="not YAML throughout"):
            act()
    assert editor.declared("b").own == manifest("b")


def test_D4_who_has_no_home_keeps_no_judgements(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(homeless))
    assert place([Path("a")]) is None
    assert validate([Path(__file__).parent / "valid"]).manifests
