"""No manifest, and nothing that lies beside them, ends the control loop or keeps the others from
running."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.control import defect_isolation
from reconciler.control.controller import RETRY
from reconciler.control.decision_recorder import DecisionRecorder
from reconciler.control.git_index import tracks
from reconciler.control.git_revision import git_head
from reconciler.control.last_good import recall_last_good
from reconciler.control.observation import CONFIRMATION, ManifestDirectory
from reconciler.manifests.manifest_files import Unreadable
from reconciler.model.history import LastGood
from tests.captured_logs import capture_logs
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import save, text
from tests.control.test_controller import World, said
from tests.endtoend.watched import manifest
from tests.manifests.hostile import make
from tests.unprivileged import UNPRIVILEGED


def in_a_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: Any, **named: Any) -> None:
        with capture_logs():
            asyncio.run(test(*given, **named))

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    return root


class Picky(MemoryRegistry):
    """Cannot keep manifests whose text holds the word POISON; what it refuses, it refuses as a
    whole."""

    def save_last_good(
        self, changed: Sequence[LastGood], gone: Sequence[tuple[str, str]], now: datetime
    ) -> None:
        if any("POISON" in good.text for good in changed):
            raise UnicodeEncodeError("utf-8", "hunter2", 0, 1, "surrogates not allowed")
        super().save_last_good(changed, gone, now)


@in_a_loop
async def test_what_cannot_be_recorded_is_a_diagnostic_and_its_last_good_version_runs(
    root: Path,
) -> None:
    for name in "abc":
        save(root, name)
    world = World(root, Picky())
    await world.turn()
    save(root, "b", text("b", "1h", title="POISON"))
    save(root, "c", text("c", "2h"))
    save(root, "new", text("new", title="POISON"))
    save(root, "other")
    shown = await world.turn()
    assert world.controller.trouble == ""
    errors = [one for one in world.controller.diagnostics if one.is_error]
    assert {(Path(one.file).stem, one.rule) for one in errors} == {
        ("b", "internal"),
        ("new", "internal"),
    }
    assert all(
        "UnicodeEncodeError" in one.message and "hunter2" not in one.message for one in errors
    )
    assert said(shown["b"])["Stalled"] == "True InvalidManifest"
    intervals = {name: one.effective.collect.interval for name, one in world.loops.actual().items()}
    assert intervals == {"a": "5m", "b": "5m", "c": "2h", "other": "5m"}
    again = World(root, world.registry)
    await again.turn()
    assert {
        name: one.effective.collect.interval for name, one in again.loops.actual().items()
    } == intervals
    save(again.root, "b", text("b", "3h"))
    await again.turn()
    assert again.loops.actual()["b"].effective.collect.interval == "3h"
    assert [Path(one.file).stem for one in again.controller.diagnostics if one.is_error] == ["new"]


@in_a_loop
async def test_many_that_cannot_be_recorded_are_found_in_few_attempts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []
    decide = DecisionRecorder._decide

    def counted(self: DecisionRecorder, *given: Any) -> Any:
        attempts.append(1)
        return decide(self, *given)

    monkeypatch.setattr(DecisionRecorder, "_decide", counted)
    for number in range(100):
        save(root, f"c{number}", text(f"c{number}", title="POISON" if number % 50 == 7 else "fine"))
    world = World(root, Picky())
    await world.turn()
    assert len(world.loops.actual()) == 98
    assert len(attempts) < 50
    monkeypatch.setattr(defect_isolation, "MOST_ATTEMPTS", 3)
    bounded = World(root, Picky())
    await bounded.turn()
    assert 0 < len(bounded.loops.actual()) < 98  # where that takes too long, some more are left out
    assert bounded.controller.trouble == ""


@in_a_loop
async def test_a_defect_in_a_turn_ends_nothing_and_the_next_turn_tries_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(root, "a")
    world = World(root)
    await world.turn()
    look = ManifestDirectory.observe

    def fails(*_: object, **__: object) -> None:
        raise RecursionError("hunter2")

    monkeypatch.setattr(ManifestDirectory, "observe", fails)
    save(root, "b")
    await world.turn()
    assert world.controller.trouble.startswith(
        "a defect of mailcollector (RecursionError, control/"
    )
    assert "hunter2" not in world.controller.trouble
    assert set(world.loops.actual()) == {"a"}
    assert RETRY < 30
    monkeypatch.setattr(ManifestDirectory, "observe", look)
    await world.turn()
    assert world.controller.trouble == ""
    assert set(world.loops.actual()) == {"a", "b"}


def test_a_last_good_manifest_that_cannot_be_read_keeps_no_other_from_running() -> None:
    nested = "[" * 100_000 + "]" * 100_000
    kept = [
        LastGood("MailCollector", "deep", "/m/deep.yaml", 1, "/m", nested),
        LastGood("MailCollector", "list", "/m/list.yaml", 1, "/m", "[]"),
        LastGood("Nothing", "kind", "/m/kind.yaml", 1, "/m", "{}"),
    ]
    assert recall_last_good(kept) == {}


# git


def work_tree(root: Path, head: str = "ref: refs/heads/main\n") -> Path:
    git = root / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(head)
    (git / "refs" / "heads" / "main").write_text("0123456789" * 4 + "\n")
    return git


def fifo(path: Path) -> Path:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda git: fifo(git / "HEAD"),
        lambda git: fifo(git / "commondir"),
        lambda git: (git / "HEAD").write_bytes(b"\xff\xfe"),
        lambda git: (git / "HEAD").write_bytes(b"x" * (1 << 20)),
        lambda git: (git / "HEAD").write_text("ref: refs/heads/\0"),
        lambda git: (git / "HEAD").write_text("ref: " + "x" * 5000),
        lambda git: ((git / "refs" / "heads" / "main").unlink(), (git / "packed-refs").mkdir()),
        lambda git: (
            (git / "refs" / "heads" / "main").unlink(),
            fifo(git / "refs" / "heads" / "main"),
            fifo(git / "packed-refs"),
        ),
        lambda git: (git / "commondir").write_text("a\0b"),
    ],
)
def test_git_s_files_may_be_anything(spoil: Callable[[Path], object], root: Path) -> None:
    git = work_tree(root)
    assert git_head(root).commit
    spoil(git)
    assert git_head(root).commit is None


@pytest.mark.parametrize(
    "make_git",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.write_text("gitdir: " + "../" * 5000),
        lambda path: path.write_text("gitdir: \0"),
        lambda path: path.symlink_to("/"),
    ],
)
def test_N10_what_is_called_git_may_be_anything(
    make_git: Callable[[Path], object], root: Path
) -> None:
    make_git(root / ".git")
    assert git_head(root).commit is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"DIRC",
        b"DIRC\0\0\0\2\xff\xff\xff\xff",
        b"DIRC\0\0\0\4\xff\xff\xff\xff" + b"\x80" * 200,
        b"DIRC\0\0\0\4\xff\xff\xff\xff" + (bytes(62) + b"\0" + b"x\0") * 20_000,
    ],
)
def test_an_index_may_be_anything(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(content)
    with suppress(IndexError):
        assert not tracks(tmp_path / "index", "below", 20)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unreadable):
        tracks(tmp_path / "fifo", "below", 20)


def test_the_confirmation_may_be_a_fifo(root: Path) -> None:
    os.mkfifo(root / CONFIRMATION)
    assert ManifestDirectory(root).observe().observed.empty_confirmed


# As a process


def api(state: Path, what: str) -> Any:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(state / "control.sock")),
        base_url="http://localhost",
        timeout=60,
        trust_env=False,
    ) as client:
        return client.get(what).json()


def serving(state: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(state / "control.sock")) == 0


def running(root: Path, state: Path, wanted: dict[str, str]) -> subprocess.Popen[bytes]:
    """A daemon, once it runs what is wanted: intervals by name."""
    script = "from reconciler.cli import main; main()"
    with (state.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *UNPRIVILEGED,
                sys.executable,
                "-c",
                script,
                "run",
                str(root),
                "--state-dir",
                str(state),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_it_runs(process, state, wanted)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _wait_until_it_runs(
    process: subprocess.Popen[bytes], state: Path, wanted: dict[str, str]
) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, (state.parent / "log").read_text()
        if serving(state) and wanted == {
            one["metadata"]["name"]: one["spec"]["collect"]["interval"]
            for one in api(state, "/api/v1/collectors")["items"]
            if one["status"]["loopStartedAt"]
        }:
            return
        time.sleep(0.05)
    raise AssertionError((state.parent / "log").read_text())


def test_the_daemon_runs_what_is_good_in_a_hostile_directory_across_a_restart(
    tmp_path: Path,
) -> None:
    root, state = tmp_path / "collectors.d", tmp_path / "state"
    rules = make(root, heavy=False)
    with running(root, state, {"good-a": "1h", "good-b": "1h", "null-label": "1h"}) as process:
        told = {
            (one["file"].removeprefix(f"{root}/"), one["rule"])
            for one in api(state, "/api/v1/diagnostics")
        }
        assert set(rules.items()) - told == set()
        save(
            root,
            "good-b",
            manifest("good-b").replace("metadata:", f"{'x' * 9}: 0x{'f' * 9000}\nmetadata:"),
        )
        save(root, "good-c", manifest("good-c", "2h"))
        (root / "good-a.yaml").rename(
            root / os.fsdecode(b"good-\xff.yaml")
        )  # gone: this name is none
        process.terminate()
        assert process.wait(30) == 0
    with running(root, state, {"good-b": "1h", "good-c": "2h", "null-label": "1h"}) as process:
        process.kill()
