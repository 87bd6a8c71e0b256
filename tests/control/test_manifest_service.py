"""Changes of manifests, over a real directory and a control loop."""

from __future__ import annotations

import asyncio
import gc
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.collect.backoff import next_backoff
from reconciler.control.admission import Admission
from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import provider_limits
from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeleteManifest,
    ManifestChange,
    ManifestOutdated,
    ReplaceManifest,
    SwitchManifest,
)
from reconciler.control.manifest_service import ManifestService
from reconciler.control.manifest_writing import AppliedChange, ReadOnlyManifests
from reconciler.control.observation import ManifestDirectory
from reconciler.control.running_set import RunningSet
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.control.status_board import StatusBoard
from reconciler.manifests.editing.git_commit import NotCommitted
from reconciler.manifests.editing.manifest_editor import AlreadyDeclared, EditRefused, NotDeclared
from reconciler.model.errors import PolicyRefused
from reconciler.model.manifest_policy import Allowed, enforce
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.planning.desired_state import DesiredCollector
from tests.captured_logs import capture_logs
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import COMMENTED as SALES
from tests.control.manifests import save, text


@dataclass
class Here:
    root: Path
    controller: Controller
    loops: RunningSet
    manifests: ManifestService
    registry: MemoryRegistry

    def files(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("*.yaml"))


def session(_collector: DesiredCollector, _control: SessionControl) -> SessionReport:
    now = Clock().now()
    return SessionReport(now, now, Outcome.SUCCEEDED)


@asynccontextmanager
async def service(root: Path, *, git_commit: bool = False) -> AsyncIterator[Here]:
    registry, clock, board = MemoryRegistry(), Clock(), StatusBoard(Clock())
    pool = SessionPool(session, next_backoff, registry, 4, clock.now)
    loops = RunningSet(pool, Admission(4, provider_limits), clock, board)
    controller = Controller(ManifestDirectory(root), registry, loops, board, clock)
    board.connect(loops.state, controller.loop_ended)
    found = ManifestService(controller, loops, registry, clock, git_commit=git_commit)
    await controller.turn()
    yield Here(root, controller, loops, found, registry)
    await loops.shut_down(5, 5)
    pool.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    save(root, "sales", SALES)
    save(root, "off", text("off", enabled="false"))
    return root


def manifest(name: str, password: str, interval: str = "5m") -> dict[str, Any]:
    return {
        "apiVersion": "mailcollector/v1",
        "kind": "MailCollector",
        "metadata": {"name": name},
        "spec": {
            "source": {
                "protocol": "imap",
                "host": "imap.example",
                "username": name,
                "password": {"file": password},
            },
            "collect": {"interval": interval},
            "recipient": {"forwardTo": f"{name}@local.example"},
        },
    }


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_of_data_only_the_differences_are_written(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            before = await here.manifests.declared("sales")
            assert before.text == SALES
            data: Any = dict(before.data)
            data["spec"] = {
                **data["spec"],
                "title": "Shop",
                "collect": {"interval": "7m"},
                "source": {**data["spec"]["source"], "host": "mx.example"},
            }
            asked = ReplaceManifest("sales", data)
            proposed = await here.manifests.propose(asked, before.etag.__eq__)
            assert (root / "sales.yaml").read_text() == SALES
            assert proposed.writable
            assert proposed.plan["counts"] == {"Replace": 1}
            (step,) = proposed.plan["steps"]
            assert step["consequences"][0].startswith("another account: ")
            assert "-    host: 'imap.example'\n+    host: 'mx.example'\n" in proposed.draft.diff
            await here.manifests.apply(asked, "ann", before.etag.__eq__)
            after = SALES.replace("imap.example", "mx.example").replace("5m", "7m")
            assert (root / "sales.yaml").read_text() == after + "  title: Shop\n"
            running = here.loops.actual()["sales"].effective
            assert (running.source.host, running.title) == ("mx.example", "Shop")
            with pytest.raises(ManifestOutdated):
                await here.manifests.apply(asked, "ben", before.etag.__eq__)

    run(scenario())


def test_create_switch_and_delete(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            data = {
                "kind": "MailCollector",
                "apiVersion": "mailcollector/v1",
                "metadata": {"name": "new"},
                "spec": {
                    "title": None,
                    "source": {
                        "protocol": "imap",
                        "host": "imap.example",
                        "username": "v",
                        "password": {"env": "P"},
                    },
                    "recipient": {"forwardTo": "a@b.example"},
                },
            }
            asked = CreateManifest(data)
            proposed = await here.manifests.propose(asked)
            assert proposed.plan["counts"] == {"Start": 1}
            assert "+++ b/new.yaml\n" in proposed.draft.diff
            await here.manifests.apply(asked, "ann")
            assert "new" in here.loops
            with pytest.raises(AlreadyDeclared):
                await here.manifests.apply(asked, "ann")
            await here.manifests.apply(SwitchManifest("new", enabled=False), "ann")
            assert here.loops.actual().keys() == {"sales"}
            deletion = await here.manifests.propose(DeleteManifest("sales"))
            (step,) = deletion.plan["steps"]
            assert (step["step"], "0 messages remembered" in step["consequences"][0]) == (
                "Stop",
                True,
            )
            await here.manifests.apply(DeleteManifest("new"), "ann")
            await here.manifests.apply(DeleteManifest("sales"), "ann")
            await here.manifests.apply(DeleteManifest("off"), "ann")
            assert not here.files()
            assert not here.loops.actual()
            with pytest.raises(NotDeclared):
                await here.manifests.apply(DeleteManifest("off"), "ann")

    run(scenario())


def test_an_invalid_result_is_not_written(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            asked = ReplaceManifest("sales", SALES.replace("5m", "5 apples"))
            proposed = await here.manifests.propose(asked)
            (found,) = proposed.draft.diagnostics
            assert (found.line, found.path, found.rule) == (11, "spec.collect.interval", "interval")
            with pytest.raises(EditRefused):
                await here.manifests.apply(asked, "ann")
            assert (root / "sales.yaml").read_text() == SALES

    run(scenario())


def test_several_at_once_are_one_turn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            turns = 0
            act = here.controller.turn

            async def counted(**more: Any) -> None:
                nonlocal turns
                turns += 1
                await act(**more)

            monkeypatch.setattr(here.controller, "turn", counted)
            done = await here.manifests.apply_all(
                [SwitchManifest("sales", enabled=False), SwitchManifest("off", enabled=True)], "ann"
            )
            assert [one.draft.verb for one in done if isinstance(one, AppliedChange)] == [
                "disable",
                "enable",
            ]
            assert (turns, set(here.loops.actual())) == (1, {"off"})
            gone, never = await here.manifests.apply_all(
                [DeleteManifest("off"), DeleteManifest("nobody")], "ann"
            )
            assert isinstance(gone, AppliedChange)
            assert isinstance(never, NotDeclared)
            assert here.files() == ["sales.yaml"]

    run(scenario())


SHARED = "# head\n" + "---\n".join(text(name, enabled="true") for name in ("a", "b", "c", "d"))


def test_several_of_one_file_are_written_once(root: Path) -> None:
    path = save(root, "shared", SHARED)

    async def scenario() -> None:
        async with service(root) as here:
            asked: list[ManifestChange] = [
                DeleteManifest("a"),
                SwitchManifest("b", enabled=False),
                DeleteManifest("nobody"),
                SwitchManifest("sales", enabled=True),
                DeleteManifest("d"),
            ]
            done = await here.manifests.apply_all(asked, "ann")
            assert [type(one).__name__ for one in done] == [
                "AppliedChange",
                "AppliedChange",
                "NotDeclared",
                "AppliedChange",
                "AppliedChange",
            ]
            # what single changes, one after another, leave
            expected = "---\n".join([text("b", enabled="false"), text("c", enabled="true"), ""])
            assert path.read_text().partition("---\n")[2] == expected.removesuffix("---\n")
            assert here.loops.actual().keys() == {"sales", "c"}
            await here.manifests.apply_all([DeleteManifest("b"), DeleteManifest("c")], "ann")
            assert here.files() == ["off.yaml", "sales.yaml"]

    run(scenario())


def test_one_that_cannot_be_changed_prevents_no_other(root: Path) -> None:
    broken = text("e").replace("P}", "P}}")
    path = save(root, "shared", SHARED)

    async def scenario() -> None:
        async with service(root) as here:
            path.write_text(SHARED + "---\n" + text("e", enabled="&x true", title="*x"))
            save(root, "broken", broken)
            await here.controller.turn()
            names = ["b", "e", "c", "b", "off"]
            done = await here.manifests.apply_all(
                [SwitchManifest(name, enabled=name == "off") for name in names], "ann"
            )
            refused = [
                name
                for name, one in zip(names, done, strict=True)
                if not isinstance(one, AppliedChange)
            ]
            assert (refused, set(here.loops.actual())) == (["e"], {"sales", "a", "d", "off"})

    run(scenario())


def test_what_many_ask_at_once_costs_one_turn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            turned = []
            act = here.controller.turn

            async def counted(**more: Any) -> None:
                turned.append(more)
                await act(**more)

            monkeypatch.setattr(here.controller, "turn", counted)
            names = [f"new{number}" for number in range(8)]
            first, *others, again = await asyncio.gather(
                *(here.manifests.apply(CreateManifest(text(name)), "ann") for name in names),
                here.manifests.apply(CreateManifest(text("new0")), "ben"),
                return_exceptions=True,
            )
            assert all(isinstance(one, AppliedChange) for one in (first, *others))
            assert isinstance(again, AlreadyDeclared)
            assert len(turned) < len(names)
            assert {"sales", *names} == here.loops.actual().keys()

    run(scenario())


class _Stopwatch:
    """Measures the processor time of awaiting, so that a busy machine does not count."""

    async def took(self, what: str, waiting: Awaitable[Any]) -> float:
        began, processor = time.monotonic(), time.process_time()
        await waiting
        used = time.process_time() - processor
        print(f"{what}: {(time.monotonic() - began) * 1000:.0f} ms, {used * 1000:.0f} ms of CPU")
        return used


def test_one_change_among_ten_thousand(tmp_path: Path) -> None:
    root = tmp_path / "collectors.d"
    root.mkdir()

    def one(number: int, interval: str = "5m") -> str:
        return text(f"c{number}", interval, enabled="false").replace(
            "username: u", f"username: u{number}"
        )

    for number in range(10_000):
        (root / f"c{number}.yaml").write_text(one(number))

    async def scenario() -> None:
        async with service(root) as here:
            gc.freeze()  # as the daemon does
            watch = _Stopwatch()
            asked = ReplaceManifest("c5000", one(5000, "7m"))
            assert await watch.took("a trial", here.manifests.propose(asked)) < 0.5
            assert await watch.took("a change", here.manifests.apply(asked, "ann")) < 0.5
            asked = ReplaceManifest("c5000", one(5000).replace("u5000", "v"))
            assert await watch.took("another account", here.manifests.apply(asked, "ann")) < 0.5
            proposed = await here.manifests.propose(DeleteManifest("c7"))
            assert proposed.plan["steps"] == []
            assert "its history (0 messages remembered) is kept until" in proposed.consequences[0]
            await watch.took("a new one", here.manifests.apply(CreateManifest(text("new")), "ann"))
            await watch.took("its end", here.manifests.apply(DeleteManifest("new"), "ann"))

    try:
        run(scenario())
    finally:
        gc.unfreeze()


# -- passwords


def test_a_password_is_kept_beside_the_manifests(root: Path) -> None:
    kept = root.parent / "secrets" / "new"

    async def scenario() -> None:
        async with service(root) as here:

            async def in_vain(secret: str, change: Callable[[dict[str, Any]], Any]) -> None:
                async with here.manifests.keep_secret("new", secret, "ann") as relative:
                    assert kept.read_text() == f"{secret}\n"
                    asked = change(manifest("new", relative, interval="5 apples"))
                    await here.manifests.apply(asked, "ann")

            with pytest.raises(EditRefused):
                await in_vain("hunter2", CreateManifest)
            assert not kept.exists()
            with capture_logs() as logs:
                async with here.manifests.keep_secret("new", "hunter2", "ann") as relative:
                    assert relative == "../secrets/new"
                    await here.manifests.apply(CreateManifest(manifest("new", relative)), "ann")
            assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("hunter2\n", 0o600)
            assert "hunter2" not in f"{logs}{(root / 'new.yaml').read_text()}"
            assert {"secret changed", "manifest changed"} <= {one["event"] for one in logs}

            # another password for the same collector, with the same manifest
            with pytest.raises(EditRefused):
                await in_vain("other", lambda data: ReplaceManifest("new", data))
            assert kept.read_text() == "hunter2\n"
            async with here.manifests.keep_secret("new", "other", "ann") as relative:
                done = await here.manifests.apply(
                    ReplaceManifest("new", manifest("new", relative)), "ann"
                )
                assert not done.draft.changed
            assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("other\n", 0o600)

            # somebody else's file of that name is not touched
            (kept.parent / "sales").write_text("theirs\n")
            async with here.manifests.keep_secret("sales", "mine", "ann") as relative:
                assert relative == "../secrets/sales-2"
            assert (kept.parent / "sales").read_text() == "theirs\n"
            for name, secret in (("../x", "a"), ("", "a"), ("new", ""), ("new", "a\nb")):
                with pytest.raises(EditRefused):
                    async with here.manifests.keep_secret(name, secret, "ann"):
                        pass

    run(scenario())


def test_the_path_of_a_password_is_relative_to_the_manifest(root: Path) -> None:
    below = root / "team"
    below.mkdir()
    save(below, "deep", text("deep", enabled="false"))

    async def scenario() -> None:
        async with service(root) as here:
            async with here.manifests.keep_secret("deep", "hunter2", "ann") as relative:
                assert relative == "../../secrets/deep"
            assert (below / relative).read_text() == "hunter2\n"

    run(scenario())


def test_the_policy_says_where_a_password_may_be(root: Path) -> None:
    async def scenario() -> None:
        async with service(root) as here:
            with pytest.raises(PolicyRefused):
                async with here.manifests.keep_secret("new", "hunter2", "ann"):
                    pass
            assert not (root.parent / "secrets").exists()

    enforce(Allowed(file="policy", secret_files=("/etc/secrets",)))
    try:
        run(scenario())
    finally:
        enforce(Allowed())


# -- git


def git(directory: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(directory), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(root: Path) -> Path:
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "The daemon")
    git(root, "config", "user.email", "daemon@local.example")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "begin")
    return root


def test_each_change_is_a_commit_of_who_asked(repository: Path) -> None:
    async def scenario() -> None:
        async with service(repository, git_commit=True) as here:
            done = await here.manifests.apply(SwitchManifest("sales", enabled=False), "Ann <a@b>")
            assert done.commit == git(repository, "rev-parse", "--short", "HEAD")
            await here.manifests.apply(CreateManifest(text("new")), "ben")
            await here.manifests.apply(DeleteManifest("new"), "ben")
            assert git(repository, "log", "--format=%s|%an|%cn", "-3").splitlines() == [
                "Remove collector new|ben|The daemon",
                "Add collector new|ben|The daemon",
                "Disable collector sales|Ann a@b|The daemon",
            ]
            assert git(repository, "status", "--porcelain", "--", "*.yaml") == ""
            (repository / "off.yaml").write_text(text("off", "9m", enabled="false"))
            with pytest.raises(NotCommitted):
                await here.manifests.apply(SwitchManifest("off", enabled=True), "ben")

    run(scenario())


def test_the_changes_of_one_call_are_one_commit(repository: Path) -> None:
    below = repository / "team"
    below.mkdir()
    save(below, "deep", text("deep"))
    save(below, "open", text("open"))
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "more")

    async def scenario() -> None:
        async with service(repository, git_commit=True) as here:
            (below / "open.yaml").write_text(text("open", "9m"))
            names = ["sales", "deep", "open"]
            *done, refused = await here.manifests.apply_all(
                [SwitchManifest(name, enabled=False) for name in names], "ann"
            )
            assert isinstance(refused, NotCommitted)
            head = git(repository, "rev-parse", "--short", "HEAD")
            assert [one.commit for one in done if isinstance(one, AppliedChange)] == [head] * 2
            assert git(repository, "log", "--format=%B|%an", "-1") == (
                "Disable 2 collectors\n\nsales\ndeep\n|ann"
            )
            assert git(repository, "status", "--porcelain") == "M team/open.yaml"

    run(scenario())


def test_a_commit_that_fails_is_told_and_the_change_holds(repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)

    async def scenario() -> None:
        async with service(repository, git_commit=True) as here:
            done = await here.manifests.apply(SwitchManifest("sales", enabled=False), "ann")
            assert (done.commit, done.trouble[-9:]) == ("", "not today")
            assert "sales" not in here.loops.actual()

    run(scenario())


# -- read-only


def test_a_directory_that_cannot_be_written_says_so_before_and_after(root: Path) -> None:
    """By a mount, because permissions do not bind root."""
    if subprocess.run(["mount", "--bind", root, root], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", root, root], check=True)

        async def scenario() -> None:
            async with service(root) as here:
                asked = SwitchManifest("sales", enabled=False)
                proposed = await here.manifests.propose(asked)
                assert not proposed.writable
                with pytest.raises(ReadOnlyManifests) as refused:
                    await here.manifests.apply(asked, "ann")
                assert refused.value.draft.diff == proposed.draft.diff
                with pytest.raises(ReadOnlyManifests):
                    await here.manifests.apply(CreateManifest(text("new")), "ann")

        run(scenario())
    finally:
        subprocess.run(["umount", root], check=True)
