"""A template changes, breaks, goes and returns: its collectors follow, and no others."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from reconciler.control import observation
from reconciler.control.observation import ManifestDirectory
from reconciler.control.offline_views import propose
from reconciler.manifests import loading, manifest_files, manifest_set
from reconciler.manifests.templates.template_index import Templates
from reconciler.model.status import Status
from reconciler.planning.field_changes import FieldChange
from reconciler.planning.plan_preview import describe_in_force
from reconciler.planning.reconcile_plan import Keep, Replace, Stop
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import age, save
from tests.control.test_controller import World, run, said

USERS = ("follows", "follows-too", "overrides")


def template(interval: str = "5m", **more: str) -> str:
    lines = [
        "apiVersion: mailcollector/v1",
        "kind: Template",
        "metadata: {name: office}",
        "spec:",
        "  source:",
        "    protocol: imap",
        "    host: imap.example",
        "    username: '{name}'",
        "    password: {file: 'secrets/{name}'}",
        f"  collect: {{interval: {interval}}}",
    ]
    return "\n".join([*lines, *(f"  {key}: {value}" for key, value in more.items())]) + "\n"


def user(name: str, *lines: str) -> str:
    return (
        "\n".join(
            [
                "apiVersion: mailcollector/v1",
                "kind: MailCollector",
                f"metadata: {{name: {name}}}",
                "spec:",
                "  from: office",
                *(f"  {line}" for line in lines),
                f"  recipient: {{forwardTo: {name}@local.example}}",
            ]
        )
        + "\n"
    )


def ran(status: Status) -> tuple[int, datetime | None]:
    """Changes with every restart."""
    return status.generation, status.loop_started_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    save(root, "office", template())
    save(root, "follows", user("follows"))
    save(root, "follows-too", user("follows-too", "title: Too"))
    save(root, "overrides", user("overrides", "collect: {interval: 1h}"))
    save(root, "stranger")
    for path in root.iterdir():
        age(path)
    return root


def test_a_changed_template_replaces_those_whose_spec_is_another_one(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        before = await world.turn()
        assert {said(status)["Ready"] for status in before.values()} == {"True Collected"}

        save(root, "office", template("10m"))
        after = await world.turn()
        assert [(step.name, step.reason) for step in world.controller.plan.changes] == [
            ("follows", "its template office changed"),
            ("follows-too", "its template office changed"),
        ]
        for step in world.controller.plan.changes:
            assert isinstance(step, Replace)
            assert step.changes == (FieldChange("spec.collect.interval", "5m", "10m"),)
        assert [after[name].generation for name in USERS] == [2, 2, 1]
        assert [ran(after[name]) for name in ("overrides", "stranger")] == [
            ran(before[name]) for name in ("overrides", "stranger")
        ]
        follows = next(one for one in world.control.list() if one.metadata.name == "follows")
        assert (follows.spec["from"], follows.spec["collect"]["interval"]) == ("office", "10m")

        save(root, "office", "# said otherwise\n" + template('"10m"'))
        assert {name: ran(status) for name, status in (await world.turn()).items()} == {
            name: ran(status) for name, status in after.items()
        }

    run(scenario())


def test_a_cause_is_named_as_it_is(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        await world.turn()
        save(root, "office", template("10m"))
        save(root, "follows", user("follows", "title: New"))
        save(root, "follows-too", user("follows-too").replace("office", "other"))
        save(root, "other", template("7m").replace("office", "other"))
        save(root, "overrides", user("overrides", "collect: {interval: 2h}"))
        await world.turn()
        assert {step.name: step.reason for step in world.controller.plan.changes} == {
            "follows": "its spec and its template office changed",
            "follows-too": "its template is other, no longer office",
            "overrides": "its spec and its template office changed",
        }

        save(root, "overrides", user("overrides", "collect: {interval: 3h}"))
        await world.turn()
        assert {step.reason for step in world.controller.plan.changes} == {
            "its spec or destination changed"
        }

    run(scenario())


@pytest.mark.parametrize(
    "how", ["broken", "not yaml", "empty", "gone", "renamed", "twice", "unreadable"]
)
def test_a_template_that_is_no_use_keeps_the_last_good_ones(root: Path, how: str) -> None:
    async def scenario() -> None:
        world = World(root)
        before = await world.turn()
        spoil(root, how)
        after = await world.turn()
        assert not world.controller.plan.changes
        for name in USERS:
            assert said(after[name])["Stalled"] == "True InvalidManifest"
            assert ran(after[name]) == ran(before[name])
            message = next(one.message for one in after[name].conditions if one.type == "Stalled")
            assert message.startswith(f"{root}/{name}.yaml:5:9: ")
            assert "Template `office`" in message
        assert said(after["stranger"])["Stalled"] == "False NoProblem"
        assert ran(after["stranger"]) == ran(before["stranger"])

        restarted = World(root, world.registry)
        again = await restarted.turn()
        assert {name for name, _ in restarted.sessions.started} == {*USERS, "stranger"}
        assert [again[name].generation for name in again] == [1, 1, 1, 1]

        mend(root)
        mended = await restarted.turn()
        assert {said(status)["Stalled"] for status in mended.values()} == {"False NoProblem"}
        assert list(map(ran, mended.values())) == list(map(ran, again.values()))

    run(scenario())


def spoil(root: Path, how: str) -> None:
    path = root / "office.yaml"
    if how == "gone":
        path.unlink()
    elif how == "twice":
        save(root, "twice", template())
    elif how == "unreadable":
        path.unlink()
        path.symlink_to(path.name)
    else:
        save(
            root,
            "office",
            {
                "broken": template(colect="{}"),
                "not yaml": "spec: [",
                "empty": "",
                "renamed": template().replace("office", "ofice"),
            }[how],
        )


def mend(root: Path) -> None:
    (root / "twice.yaml").unlink(missing_ok=True)
    (root / "office.yaml").unlink(missing_ok=True)
    save(root, "office", template())


def test_one_seen_first_with_a_broken_template_starts_when_that_is_mended(root: Path) -> None:
    async def scenario() -> None:
        save(root, "office", template("4s"))
        world = World(root)
        found = await world.turn()
        assert {name: said(status)["Ready"] for name, status in found.items()} == {
            **dict.fromkeys(USERS, "False InvalidManifest"),
            "stranger": "True Collected",
        }
        save(root, "office", template())
        assert {said(status)["Ready"] for status in (await world.turn()).values()} == {
            "True Collected"
        }

    run(scenario())


def test_a_collector_that_goes_from_a_file_with_a_template_is_gone(root: Path) -> None:
    async def scenario() -> None:
        save(root, "office", template() + "---\n" + user("within"))
        world = World(root)
        await world.turn()
        save(root, "office", template())
        assert "within" not in await world.turn()
        assert [type(step) for step in world.controller.plan.changes] == [Stop]

    run(scenario())


def test_only_what_a_change_concerns_is_read_and_parsed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, parsed = [], []

    def noted_read(path: Path) -> bytes:
        read.append(path.stem)
        return manifest_files.read(path)

    def noted_parse(
        data: bytes, file: str, templates: Templates, *, allow_inline_secrets: bool = False
    ) -> loading.ParsedFile:
        parsed.append(Path(file).stem)
        return loading.parse(data, file, templates, allow_inline_secrets=allow_inline_secrets)

    monkeypatch.setattr(observation, "read", noted_read)
    monkeypatch.setattr(manifest_set, "parse", noted_parse)
    directory = ManifestDirectory(root)
    directory.observe()
    assert sorted(parsed) == sorted(["office", *USERS, "stranger"])

    read.clear()
    parsed.clear()
    directory.observe(only=[str(save(root, "office", template("10m")))])
    assert (read, sorted(parsed)) == (["office"], sorted(["office", *USERS]))

    age(root / "office.yaml")
    directory.observe()
    read.clear()
    parsed.clear()
    directory.observe(only=[str(save(root, "follows", user("follows", "title: New")))])
    assert (read, parsed) == (["follows"], ["follows"])

    read.clear()
    parsed.clear()
    directory.observe(only=[str(save(root, "office", "# a comment\n" + template("10m")))])
    assert (read, parsed) == (["office"], ["office"])


def test_a_plan_of_another_checkout_shows_what_the_template_changes(
    root: Path, tmp_path: Path
) -> None:
    async def in_force_now() -> World:
        world = World(root)
        (root / "shared").mkdir()
        (root / "office.yaml").rename(root / "shared" / "office.yaml")
        await world.turn()
        return world

    world = asyncio.run(in_force_now())
    now = describe_in_force(world.controller.in_force.values(), world.loops.actual(), {})
    checkout = tmp_path / "checkout"
    for path in root.rglob("*.yaml"):
        copy = checkout / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert {type(step) for step in propose(ManifestDirectory(checkout), root, now).plan.steps} == {
        Keep
    }

    save(checkout / "shared", "office", template("10m"))
    steps = {step.name: step for step in propose(ManifestDirectory(checkout), root, now).plan.steps}
    assert {name for name, step in steps.items() if isinstance(step, Replace)} == {
        "follows",
        "follows-too",
    }
    assert steps["follows"].reason == "its template office changed"


def test_what_is_remembered_tells_the_template_s_change_after_a_restart(root: Path) -> None:
    async def before() -> MemoryRegistry:
        world = World(root)
        await world.turn()
        return world.registry

    async def after(registry: MemoryRegistry) -> None:
        save(root, "office", template("4s"))
        world = World(root, registry)
        await world.turn()
        save(root, "office", template("10m"))
        await world.turn()
        assert {step.reason for step in world.controller.plan.changes} == {
            "its template office changed"
        }

    run(after(asyncio.run(before())))
