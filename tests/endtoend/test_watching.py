"""What people mount, changed as they do, three times in a row: the right collectors run, and no
other is restarted."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.control.test_git_revision import git
from tests.endtoend.watched import Wanted, Watched, files, fill, manifest, stalled, watched

ROUNDS = ("2h", "3h", "4h")
"""Intervals, one for each time."""
STEADY = {"a": "1h", "z": "1h"}
"""Collectors that nothing concerns."""
START = STEADY | {"b": "1h"}

PATIENT = """
import reconciler.control.removal_grace
reconciler.control.removal_grace.SETTLE = reconciler.control.removal_grace.LONGEST = 300.0
"""
"""What is missing is not gone while a test takes its time."""

Over = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture
def over(tmp_path: Path, record_property: Callable[[str, object], None]) -> Over:
    """Runs a daemon over a directory; how long its changes took stands in the report of
    `--junitxml`."""

    @contextmanager
    def run(
        directory: Path, wanted: Wanted, revision: str | None = None, program: str = ""
    ) -> Iterator[Watched]:
        with watched(directory, tmp_path / "daemon", program) as daemon:
            daemon.expect(wanted, revision)
            yield daemon
        record_property("seconds", " ".join(f"{taken:.3f}" for taken in daemon.seconds))

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    fill(root, START)
    return root


def replace(path: Path, text: str) -> None:
    """As programs do that write carefully: temporary file, fsync, rename."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def link(target: str | Path, place: Path) -> None:
    """Made, or replaced in one step."""
    draft = place.with_name(f"{place.name}.next")
    draft.symlink_to(target)
    draft.replace(place)


# -- a plain directory


def test_added_changed_and_removed_in_a_plain_directory(root: Path, over: Over) -> None:
    with over(root, START) as daemon:
        for interval in ROUNDS:
            daemon.after(START | {"c": "1h"}, (root / "c.yaml").write_text, manifest("c"))
            daemon.after(START | {"c": interval}, replace, root / "c.yaml", manifest("c", interval))
            daemon.after(START, (root / "c.yaml").unlink)


def test_added_changed_and_removed_in_new_directories_below(root: Path, over: Over) -> None:
    with over(root, START) as daemon:
        for interval in ROUNDS:
            team = root / "teams" / "sales"
            daemon.after(START | {"c": "1h"}, fill, team, {"c": "1h"})
            daemon.after(START | {"c": interval}, fill, team, {"c": interval})
            daemon.after(START, shutil.rmtree, root / "teams")


# -- editors


def vim(path: Path, text: str) -> None:
    """Its swap file, the probe whether files can be made here, and the old file as the backup."""
    swap, backup, probe = (
        path.with_name(f".{path.name}.swp"),
        path.with_name(f"{path.name}~"),
        path.with_name("4913"),
    )
    swap.write_bytes(b"b0VIM 9.0")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink()
    swap.unlink()


def in_place(path: Path, text: str) -> None:
    """VS Code: truncated and written."""
    path.write_text(text)


def emacs(path: Path, text: str) -> None:
    """A lock that is a link to nowhere; the backup is a copy."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("somebody@somewhere.1")
    shutil.copy2(path, path.with_name(f"{path.name}~"))
    path.write_text(text)
    lock.unlink()


def sed(path: Path, text: str) -> None:
    interval = next(line for line in text.splitlines() if "interval" in line)
    subprocess.run(["sed", "-i", f"s/.*interval.*/{interval}/", str(path)], check=True)


@pytest.mark.parametrize("save", [vim, in_place, emacs, sed, replace])
def test_saved_as_editors_do(save: Callable[[Path, str], None], root: Path, over: Over) -> None:
    with over(root, START, program=PATIENT) as daemon:
        for interval in ROUNDS:
            daemon.after(STEADY | {"b": interval}, save, root / "b.yaml", manifest("b", interval))


# -- what is swapped as a whole


class ConfigMap:
    """A volume as kubelet's AtomicWriter writes it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def write(self, payload: dict[str, str]) -> None:
        new = self.place / f"..2026_11_23_02_00_00.{secrets.randbelow(10**9):09}"
        new.mkdir()
        for name, text in payload.items():
            (new / name).write_text(text)
        data, draft = self.place / "..data", self.place / "..data_tmp"
        old = data.readlink() if data.is_symlink() else None
        draft.symlink_to(new.name)
        draft.replace(data)
        for name in payload:
            if not (self.place / name).is_symlink():
                (self.place / name).symlink_to(f"..data/{name}")
        for entry in self.place.iterdir():
            if not entry.name.startswith("..") and entry.name not in payload:
                entry.unlink()
        if old:
            shutil.rmtree(self.place / old)


def test_a_config_map(tmp_path: Path, over: Over) -> None:
    volume = ConfigMap(tmp_path / "collectors.d")
    volume.write(files(START))
    with over(volume.place, START) as daemon:
        for interval in ROUNDS:
            for wanted in (START | {"c": interval}, STEADY | {"b": interval, "c": interval}, START):
                daemon.after(wanted, volume.write, files(wanted))


@pytest.mark.parametrize(
    ("name", "kept"),
    [(".worktrees/{}", True), (".worktrees/{}", False), ("rev-{}", True), ("{}", False)],
)
def test_L13_git_syncs_link(name: str, kept: bool, tmp_path: Path, over: Over) -> None:
    """Its work trees name git's own directory as it stands in its own container."""
    current = tmp_path / "current"

    def flip(commit: str, wanted: Wanted) -> None:
        old = current.resolve()
        tree = tmp_path / name.format(commit)
        fill(tree / "collectors.d", wanted)
        (tree / ".git").write_text(f"gitdir: /git-in-the-other-container/.git/worktrees/{commit}\n")
        link(tree.relative_to(tmp_path), current)
        if not kept and old != current:
            shutil.rmtree(old)

    first = secrets.token_hex(20)
    flip(first, START)
    with over(current / "collectors.d", START, first) as daemon:
        for interval in ROUNDS:
            for wanted in (STEADY | {"b": interval}, STEADY | {"b": interval, "c": "1h"}):
                commit = secrets.token_hex(20)
                daemon.after(wanted, flip, commit, wanted, revision=commit)


@pytest.mark.parametrize("given", ["link", "elsewhere/link"])
def test_the_directory_is_a_link(given: str, tmp_path: Path, over: Over) -> None:
    """To a directory, or to another link that is swapped."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to("../link")
    fill(tmp_path / "0h", START)
    link("0h", tmp_path / "link")
    with over(tmp_path / given, START) as daemon:
        for interval in ROUNDS:
            fill(tmp_path / interval, STEADY | {"b": interval})
            daemon.after(STEADY | {"b": interval}, link, interval, tmp_path / "link")
            daemon.after(STEADY, (tmp_path / interval / "b.yaml").unlink)


def test_Y17_the_directory_moved_away_and_back(root: Path, over: Over) -> None:
    away = root.with_name("away")
    with over(root, START) as daemon:
        for interval in ROUNDS:
            root.rename(away)
            daemon.until(
                "the error",
                lambda: (
                    {stalled(found) for found in daemon.shown().values()}
                    == {("True", "DirectoryVanished")}
                ),
            )
            daemon.same()
            assert [found["rule"] for found in daemon.diagnostics()] == ["directory-vanished"]
            daemon.after(daemon.wanted, away.rename, root)
            daemon.after(
                STEADY | {"b": interval}, replace, root / "b.yaml", manifest("b", interval)
            )


def test_Y17_the_directory_removed_and_written_again_file_by_file(root: Path, over: Over) -> None:
    with over(root, START, program=PATIENT) as daemon:
        for _ in ROUNDS:
            shutil.rmtree(root)
            daemon.until(
                "the error",
                lambda: (
                    {stalled(found) for found in daemon.shown().values()}
                    == {("True", "DirectoryVanished")}
                ),
            )
            root.mkdir()
            daemon.until(
                "a look at what is there",
                lambda: (
                    not any(found["rule"] == "directory-vanished" for found in daemon.diagnostics())
                ),
            )
            daemon.same()
            daemon.after(START, fill, root, START)
        vanished = [
            found for found in daemon.logged("invalid") if found["rule"] == "directory-vanished"
        ]
        back = [found for found in daemon.logged("mended") if found["manifest"] == str(root)]
        assert len(vanished) == len(back) == len(ROUNDS)  # files may be seen half written besides


# -- git in place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree that has its manifests in collectors.d, on the branch `main`."""
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    commit(tree, START)
    return tree


def commit(tree: Path, wanted: Wanted) -> str:
    shutil.rmtree(tree / "collectors.d", ignore_errors=True)
    fill(tree / "collectors.d", wanted)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "changed")
    return git(tree, "rev-parse", "HEAD")


def test_git_checkout_of_another_branch(tree: Path, over: Over) -> None:
    main = git(tree, "rev-parse", "HEAD")
    other = STEADY | {"b": "2h", "c": "1h"}
    git(tree, "checkout", "-q", "-b", "other")
    changed = commit(tree, other)
    git(tree, "checkout", "-q", "main")
    with over(tree / "collectors.d", START, main) as daemon:
        for _ in ROUNDS:
            daemon.after(other, git, tree, "checkout", "-q", "other", revision=changed)
            daemon.after(START, git, tree, "checkout", "-q", "main", revision=main)


@pytest.mark.parametrize("inside", ["collectors.d", "."])
def test_git_pull_and_a_commit_that_changes_no_file(
    inside: str, tree: Path, tmp_path: Path, over: Over
) -> None:
    git(tmp_path, "clone", "-q", str(tree), "clone")
    clone = tmp_path / "clone"
    with over(clone / inside, START, git(tree, "rev-parse", "HEAD")) as daemon:
        for interval in ROUNDS:
            wanted = STEADY | {"b": interval}
            pulled = commit(tree, wanted)
            daemon.after(wanted, git, clone, "pull", "-q", "--ff-only", revision=pulled)
            git(tree, "commit", "-q", "--allow-empty", "-m", "nothing")
            empty = git(tree, "rev-parse", "HEAD")
            daemon.after(wanted, git, clone, "pull", "-q", "--ff-only", revision=empty)


def test_files_that_are_moved_in_a_checkout_restart_nothing(root: Path, over: Over) -> None:
    """git removes what is elsewhere now before it writes anything: that is seen, and waited out."""
    with over(root, START, program=PATIENT) as daemon:
        for number, _ in enumerate(ROUNDS):
            for path in root.rglob("*.yaml"):
                path.unlink()
            (root / "marker.yaml").write_text("{")
            daemon.until(
                "a look without them",
                lambda: (
                    {found["file"] for found in daemon.diagnostics()} == {str(root / "marker.yaml")}
                ),
            )
            daemon.same()
            fill(root / str(number), START)
            daemon.after(START, (root / "marker.yaml").unlink)


# -- links to elsewhere


def test_a_manifest_that_is_a_link_to_elsewhere(root: Path, tmp_path: Path, over: Over) -> None:
    fill(tmp_path / "shared" / "one", {"c": "1h"})
    link("one", tmp_path / "shared" / "current")
    (root / "c.yaml").symlink_to("../shared/current/c.yaml")
    with over(root, START | {"c": "1h"}) as daemon:
        for number, interval in enumerate(ROUNDS):
            target = tmp_path / "shared" / "current" / "c.yaml"
            daemon.after(START | {"c": interval}, in_place, target, manifest("c", interval))
            daemon.after(START | {"c": "8h"}, replace, target, manifest("c", "8h"))
            fill(tmp_path / "shared" / str(number), {"c": "9h"})
            daemon.after(START | {"c": "9h"}, link, str(number), target.parent)


def _ended_with(daemon: Watched, name: str, reason: str) -> bool:
    return daemon.last_error(name) == reason


def test_a_secret_behind_a_link_that_a_collector_waits_for(
    root: Path, tmp_path: Path, over: Over
) -> None:
    volume = ConfigMap(tmp_path / "secrets")
    volume.write({"other": "x"})
    (tmp_path / "link").symlink_to("secrets")
    names = [f"c{number}" for number, _ in enumerate(ROUNDS, 2)]
    for number, name in enumerate(
        names, 2
    ):  # each at a host of its own: at one that is away it would wait for others
        text = manifest(name, password=f"{{file: ../link/{name}}}").replace(
            "port: 1", f"port: {number}"
        )
        (root / f"{name}.yaml").write_text(text)
    with over(root, START | dict.fromkeys(names, "1h")) as daemon:
        for name in names:
            daemon.until("that it waits", partial(_ended_with, daemon, name, "SecretUnavailable"))
            volume.write({name: "a-password"})
            daemon.until("that it connects", partial(_ended_with, daemon, name, "ConnectionFailed"))
            volume.write({"other": "x"})


# -- much at once, half at once, and nothing told


def test_Y16_a_rename_storm_of_a_thousand_files(root: Path, over: Over) -> None:
    for number in range(1000):
        (root / f"m{number}.yaml").write_text(manifest(f"m{number}", enabled=False))
    with over(root, START, program=PATIENT) as daemon:
        for number, interval in enumerate(ROUNDS, 1):
            wanted = STEADY | {"b": interval}
            for path in root.glob("*.yaml"):
                path.rename(path.with_name(f"x{path.name}"))
            daemon.after(wanted, replace, root / f"{'x' * number}b.yaml", manifest("b", interval))


def test_Y16_events_that_were_lost(root: Path, over: Over) -> None:
    """More of them than the kernel keeps, while the daemon does not read any; a new directory is
    not told of."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with over(root, START) as daemon:
        for interval in ROUNDS:
            daemon.process.send_signal(signal.SIGSTOP)
            for _ in range(most // 4 + 1):
                (root / "b.yaml").rename(root / "b.yml")
                (root / "b.yml").rename(root / "b.yaml")
            fill(root / interval, {"c": interval})
            daemon.process.send_signal(signal.SIGCONT)
            daemon.expect(START | {"c": interval})
            daemon.after(START | {"c": "9h"}, fill, root / interval, {"c": "9h"})
            daemon.after(START, shutil.rmtree, root / interval)


def test_Y14_a_file_that_is_seen_half_written(root: Path, over: Over) -> None:
    with over(root, START) as daemon:
        for interval in ROUNDS:
            text = manifest("b", interval)
            with (root / "b.yaml").open("w") as file:
                file.write(text[: len(text) // 2])
                file.flush()
                daemon.until(
                    "the half", lambda: stalled(daemon.shown()["b"]) == ("True", "InvalidManifest")
                )
                daemon.same()
                file.write(text[len(text) // 2 :])
            daemon.after(STEADY | {"b": interval})
        invalid, mended = daemon.logged("invalid"), daemon.logged("mended")
    assert {line["last_good_runs"] for line in invalid} == {"b"}
    assert len(mended) == len(ROUNDS)


NO_EVENTS = """
import reconciler.control.controller, reconciler.control.watcher
async def awatch(*_, stop_event, **__):
    await stop_event.wait()
    return
    yield
reconciler.control.watcher.awatch = awatch
reconciler.control.controller.RELIST = 0.3
"""


def test_no_events_at_all(root: Path, over: Over) -> None:
    """As on a network file system that another machine writes to: the timer finds it (sooner here
    than usual)."""
    with over(root, START, program=NO_EVENTS) as daemon:
        for interval in ROUNDS:
            daemon.after(
                STEADY | {"b": interval}, replace, root / "b.yaml", manifest("b", interval)
            )
            daemon.after(STEADY | {"b": "9h"}, in_place, root / "b.yaml", manifest("b", "9h"))
            daemon.after(STEADY, (root / "b.yaml").unlink)
            daemon.after(START, fill, root, START)


def test_a_name_that_is_no_utf_8(root: Path, over: Over) -> None:
    with over(root, START) as daemon:
        for interval in ROUNDS:
            Path(os.fsdecode(os.fsencode(root) + b"/\xff.txt")).write_text(interval)
            daemon.after(
                STEADY | {"b": interval}, replace, root / "b.yaml", manifest("b", interval)
            )
