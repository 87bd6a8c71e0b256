"""Checks of many files: in several processes and with a cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.manifests import (
    check_cache,
    loading,
    manifest_set,
    parallel_check,
    parallel_parsing,
)
from reconciler.manifests.check_cache import CachedCheck, CheckCache
from reconciler.manifests.parallel_check import check_files
from reconciler.manifests.templates.template_index import Templates
from tests.manifests.samples import COLLECTOR

LONG_AGO = 1_700_000_000


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write enough files for several processes, each with its own diagnostic."""
    monkeypatch.setattr(parallel_check, "MANY", 8)
    return [written(tmp_path / f"m{number}.yaml", f"imap{number}") for number in range(8)]


def written(path: Path, protocol: str, at: int = LONG_AGO) -> Path:
    path.write_text(
        COLLECTOR.replace("protocol: imap", f"protocol: {protocol}\n    tls: none").replace(
            "sales", path.stem
        )
    )
    os.utime(path, (at, at))
    return path


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the files that are parsed in this process."""
    parsed: list[str] = []

    def noted(
        data: bytes, file: str, templates: Templates, *, allow_inline_secrets: bool = False
    ) -> loading.ParsedFile:
        parsed.append(Path(file).name)
        return loading.parse(data, file, templates, allow_inline_secrets=allow_inline_secrets)

    monkeypatch.setattr(manifest_set, "parse", noted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    return parsed


def test_processes_find_what_one_finds(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(parallel_parsing, "MANY", 8)
    monkeypatch.setattr(parallel_parsing, "_AT_ONCE", 3)
    together = check_files(paths)
    assert together == [parallel_check._checked_file(loading.load(path)) for path in paths]
    assert {len(one.diagnostics) for one in together} == {2}


def test_what_did_not_change_is_not_judged_again(
    paths: list[Path], tmp_path: Path, loads: list[str]
) -> None:
    kept = tmp_path / "cache" / "kept.json"
    first = check_files(paths, kept=kept)
    assert len(loads) == 8
    assert check_files(paths, kept=kept) == first
    assert len(loads) == 8
    written(paths[3], "imap", LONG_AGO + 1)
    again = check_files(paths, kept=kept)
    assert loads[8:] == ["m3.yaml"]
    assert (again[3].valid, again[:3] + again[4:]) == (1, first[:3] + first[4:])


def test_a_fresh_checkout_is_recognised_by_its_content(
    paths: list[Path], tmp_path: Path, loads: list[str]
) -> None:
    kept = tmp_path / "kept.json"
    check_files(paths, kept=kept)
    for path in paths:
        os.utime(path, (LONG_AGO + 9, LONG_AGO + 9))
    check_files(paths, kept=kept)
    assert len(loads) == 8


def test_names_are_those_of_this_call(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str]
) -> None:
    kept = tmp_path / "kept.json"
    check_files(paths, kept=kept)
    monkeypatch.chdir(tmp_path)
    found = check_files([Path(path.name) for path in paths], kept=kept)
    assert len(loads) == 8
    assert [one.file for one in found] == [path.name for path in paths]
    assert {named.file for one in found for named in one.named()} == {path.name for path in paths}


@pytest.mark.parametrize("what", ["version", "options", "garbage", "other"])
def test_what_no_longer_holds_is_not_used(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str], what: str
) -> None:
    kept = tmp_path / "kept.json"
    check_files(paths, kept=kept)
    if what == "version":
        monkeypatch.setattr(check_cache, "program_digest", lambda: "another")
    elif what != "options":
        kept.write_text({"garbage": "{", "other": "[]"}[what])
    check_files(paths, kept=kept, allow_inline_secrets=what == "options")
    assert len(loads) == 16


def test_what_changes_just_now_is_not_remembered(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", "imap")
    path.write_text(COLLECTOR)
    fresh = CheckCache(tmp_path / "kept", "")
    assert fresh.find(path) is None
    fresh.add(path, CachedCheck(1, (), ()))
    fresh.save()
    assert CheckCache(tmp_path / "kept", "").find(path) is None


def test_nothing_private_is_kept_and_nobody_else_reads_it(
    paths: list[Path], tmp_path: Path
) -> None:
    paths[0].write_text(COLLECTOR.replace("{file: sales.secret}", "{value: hunter2}"))
    kept = tmp_path / "cache" / "kept.json"
    check_files(paths, kept=kept)
    text = kept.read_text()
    assert "hunter2" not in text
    assert "@example.org" not in text
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_cache_that_cannot_be_written_hurts_nobody(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(check_files(paths, kept=tmp_path / "file" / "kept.json")) == 8


def test_old_ones_go(paths: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "cache" / "validate-old.json"
    old.parent.mkdir()
    old.write_text("{}")
    os.utime(old, (LONG_AGO, LONG_AGO))
    check_files(paths, kept=tmp_path / "cache" / "validate-new.json")
    assert [path.name for path in old.parent.iterdir()] == ["validate-new.json"]


def place_of_judgements(name: str) -> Path:
    found = check_cache.place([Path(name)])
    assert found is not None
    return found


def test_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert place_of_judgements("a").parent == tmp_path / "mailcollector"
    assert check_cache.place([Path("a")]) != check_cache.place([Path("b")])
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of_judgements("a").parent == tmp_path / ".cache" / "mailcollector"
