"""The API over the real control socket, with sessions that do as they are told."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from reconciler.cli.daemon_client import _declined
from reconciler.control.observation import ManifestDirectory
from reconciler.control.offline_views import propose
from reconciler.model.manifests_in_force import InForce
from reconciler.model.outcomes import Failure
from reconciler.model.settings import Listen, Settings
from tests.control.manifests import save, text
from tests.servers.loopback import free_ports
from tests.short_paths import short_path
from tests.web.daemon import GENEROUS, daemon, run


async def first(lines: AsyncIterator[str], wanted: Callable[[str], bool]) -> str:
    async with asyncio.timeout(GENEROUS):
        async for line in lines:
            if wanted(line):
                return line
    raise AssertionError("the stream ended")


def test_the_list_is_what_get_shows_and_can_be_searched(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            assert (await found.client.get("/readyz")).status_code == 503
            await found.controller.turn()
            assert (await found.client.get("/readyz")).status_code == 200
            assert (await found.client.get("/healthz")).status_code == 200
            answer = await found.get("/api/v1/collectors")
            assert (answer["total"], answer["next"]) == (2, None)
            listed = answer["items"]
            assert [one["metadata"]["name"] for one in listed] == ["off", "sales"]
            assert set(listed[0]) == {"metadata", "spec", "status"}
            assert {one["type"] for one in listed[1]["status"]["conditions"]} == {
                "Ready",
                "Reconciling",
                "Stalled",
            }
            assert (await found.get("/api/v1/collectors?search=почта"))["total"] == 1
            assert (await found.get("/api/v1/collectors?label=team=x"))["total"] == 1
            assert (await found.get("/api/v1/collectors?label=team=y"))["items"] == []
            assert (await found.client.get("/api/v1/collectors?label=team=(")).status_code == 400
            for query in ("label=" + ",".join(["team=x"] * 65), "&".join(["label=team=x"] * 65)):
                refused = await found.client.get(f"/api/v1/collectors?{query}")
                assert refused.status_code == 400
                assert "at most 64 conditions on labels" in refused.json()["detail"]
            most = "&".join(["label=team=x,team!=y"] * 32)
            assert (await found.get(f"/api/v1/collectors?{most}"))["total"] == 1

    run(scenario())


def test_what_is_in_force_is_where_a_plan_starts(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            assert (await found.get("/api/v1/in-force"))["manifests"] == []
            await found.controller.turn()
            now = InForce.model_validate(await found.get("/api/v1/in-force"))
            assert list(now.running) == ["sales"]
            assert now.remembered == {"off": 0, "sales": 0}
            assert not propose(ManifestDirectory(root), root, now).plan.changes
            save(root, "new")
            assert propose(ManifestDirectory(root), root, now).plan.count() == {
                "Keep": 2,
                "Start": 1,
            }

    run(scenario())


def test_one_collector_and_one_that_is_not_there(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()
            sales = await found.get("/api/v1/collectors/sales")
            assert sales["collector"]["metadata"]["name"] == "sales"
            assert sales["source"] == f"{root}/sales.yaml:1"
            assert (sales["historySize"], sales["epoch"]) == (0, 1)
            for path in ("", "/clear", "/collect", "/check"):
                method = "POST" if path else "GET"
                answer = await found.client.request(method, f"/api/v1/collectors/nobody{path}")
                assert answer.status_code == 404
                assert answer.json()["error"]["reason"] == "NotFound"

    run(scenario())


def test_collect_tells_its_progress_and_its_outcome(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()
            started = await found.client.post("/api/v1/collectors/sales/collect")
            assert (started.status_code, started.json()) == (202, {})
            found.script.may_end.set()
            await found.control.collect("sales")
            found.script.may_end.clear()
            async with found.client.stream(
                "POST", "/api/v1/collectors/sales/collect?wait=true&force=true"
            ) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = answer.aiter_lines()
                assert (
                    await first(lines, lambda line: line.startswith("event:")) == "event: progress"
                )
                so_far = json.loads((await first(lines, lambda line: True)).removeprefix("data: "))
                assert (so_far["collected"], so_far["left"], so_far["finishedAt"]) == (4, 5, None)
                found.script.may_end.set()
                await first(lines, lambda line: line == "event: finished")
                done = json.loads((await first(lines, lambda line: True)).removeprefix("data: "))
                assert (done["outcome"], done["collected"], done["listed"]) == ("succeeded", 9, 9)
                assert done["finishedAt"]
            assert (
                await found.client.post("/api/v1/collectors/sales/collect?wait=perhaps")
            ).status_code == 400

    run(scenario())


@pytest.mark.parametrize("reason", ["Throttled", "AuthenticationFailed"])
def test_what_must_not_collect_now_says_why(root: Path, settings: Settings, reason: str) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            found.script.failure = Failure(reason, "too many connections")
            await found.controller.turn()
            asked = found.control.collect("sales")
            found.script.may_end.set()
            assert (await asked).error == found.script.failure
            answer = await found.client.post("/api/v1/collectors/sales/collect?wait=true")
            assert answer.status_code == 409
            assert answer.json()["error"]["reason"] == reason
            assert answer.json()["error"]["nextAttempt"].endswith("Z")
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (problem["title"], problem["status"], problem["reason"]) == (
                "Conflict",
                409,
                reason,
            )
            assert "too many connections" in problem["detail"]
            declined = _declined(answer.status_code, answer.content)
            assert (declined.reason, str(declined)) == (reason, problem["detail"])
            checked = (await found.client.post("/api/v1/collectors/sales/check")).json()
            assert (checked["ok"], checked["error"]["reason"]) == (False, reason)
            assert "not tried: sales: next attempt at" in checked["steps"][0]["message"]
            assert (await found.client.post("/api/v1/collectors/off/check")).json()["ok"]
            answer = await found.client.post("/api/v1/collectors/off/collect")
            assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "Disabled")

    run(scenario())


def test_clear_check_reload_and_info(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()
            found.script.may_end.set()
            found.registry.rows["sales"].size = 12
            trial = await found.client.post("/api/v1/collectors/sales/clear?dryRun=true")
            assert (trial.json()["epoch"], trial.json()["forgotten"]) == (1, 12)
            assert trial.json()["plan"]["changed"] is False
            assert trial.json()["consequences"][0].startswith("12 messages are forgotten")
            for path in ("sales/collect", "sales/unpark", "sales/check"):
                refused = await found.client.post(f"/api/v1/collectors/{path}?dryRun=true")
                assert (refused.status_code, "dryRun" in refused.json()["detail"]) == (400, True)
            assert (await found.client.post("/api/v1/collectors/sales/clear")).json() == {
                "epoch": 2,
                "forgotten": 12,
            }
            assert (await found.client.post("/api/v1/collectors/sales/check")).json()["ok"] is True
            save(root, "new", text("new", "4s"))
            reloaded = (await found.client.post("/-/reload")).json()
            assert reloaded["plan"] == {"Keep": 2, "Hold": 1}
            info = await found.get("/api/v1/info")
            assert (info["manifests"], info["stateDir"]) == (str(root), str(settings.state_dir))
            assert info["version"]
            assert [one["file"] for one in info["diagnostics"] if one["severity"] == "error"] == [
                f"{root}/new.yaml"
            ]
            assert (
                await found.get("/api/v1/diagnostics")
                == info["diagnostics"]
                == reloaded["diagnostics"]
            )

    run(scenario())


def test_events_tell_what_changed_and_what_is_gone(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with (
            daemon(root, settings) as found,
            found.client.stream("GET", "/api/v1/events") as answer,
        ):
            lines = answer.aiter_lines()
            await first(lines, lambda line: line == "event: synced")
            await found.controller.turn()
            await first(lines, lambda line: line == "event: collector")
            (root / "off.yaml").unlink()
            await found.controller.turn()
            await first(lines, lambda line: line == "event: removed")
            assert await first(lines, lambda line: True) == 'data: {"name": "off"}'

    run(scenario())


def test_events_go_on_where_a_client_stopped_or_begin_anew(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()
            names, last = await _until_synced(found.client)
            assert names == ["event: collector", "event: collector", "event: synced"]
            (root / "off.yaml").unlink()
            await found.controller.turn()

            names, _ = await _until_synced(found.client, last)
            assert names == ["event: synced"], "the present state is known"
            async with found.client.stream(
                "GET", "/api/v1/events", headers={"Last-Event-ID": last}
            ) as answer:
                await first(answer.aiter_lines(), lambda line: line == 'data: {"name": "off"}')

            midway = f"{last.partition('-')[0]}-"
            for stranger in ("0000-1", "nonsense", last + "9" * 12, midway):
                names, _ = await _until_synced(found.client, stranger)
                assert names == ["event: resync", "event: collector", "event: synced"]

    run(scenario())


def test_events_each_have_an_id_and_HEAD_ends(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()
            lines: list[str] = []
            async with found.client.stream("GET", "/api/v1/events") as answer:
                async for line in answer.aiter_lines():
                    lines.append(line)
                    if line == "event: synced":
                        break
            assert sum(line.startswith("id: ") for line in lines) == 3
            head = await found.client.head("/api/v1/events")
            assert (head.status_code, head.text) == (200, "")
            assert head.headers["content-type"].startswith("text/event-stream")

    run(scenario())


async def _until_synced(client: httpx.AsyncClient, last: str = "") -> tuple[list[str], str]:
    """Return the events up to `synced`, and its id."""
    names: list[str] = []
    identity = ""
    headers = {"Last-Event-ID": last} if last else {}
    async with client.stream("GET", "/api/v1/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                identity = line.removeprefix("id: ")
            if line.startswith("event: "):
                names.append(line)
            if line.startswith("data:") and names[-1] == "event: synced":
                break
    return names, identity


def test_a_defect_is_answered_without_its_text(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as found:
            await found.controller.turn()

            def defect(_query: object) -> None:
                raise ValueError("canary")

            found.control.query = defect  # type: ignore[assignment,method-assign]
            answer = await found.client.get("/api/v1/collectors")
            assert answer.status_code == 500
            assert answer.json()["error"]["reason"] == "InternalError"
            assert "canary" not in answer.text
            assert (await found.client.get("/nowhere")).json()["error"]["reason"] == "NotFound"

    run(scenario())


# -- where it is served


def test_S5_the_socket_is_private_and_may_lie_deep_and_a_stale_one_is_replaced(
    root: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        state = tmp_path / ("deep" * 20) / ("er" * 40)
        state.mkdir(parents=True)
        settings = Settings(state, "")
        with short_path(settings.control_socket) as path, socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        async with daemon(root, settings) as found:
            assert stat.S_IMODE(settings.control_socket.stat().st_mode) == 0o600
            assert (await found.client.get("/healthz")).status_code == 200
        assert not settings.control_socket.exists()

    run(scenario())


def test_W2_W3_foreign_hosts_and_W2_foreign_pages_are_refused_on_tcp(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        port = free_ports(1)[0]
        async with (
            daemon(root, replace(settings, listen=Listen("127.0.0.1", port))),
            httpx.AsyncClient(timeout=GENEROUS) as browser,
        ):
            url = f"http://127.0.0.1:{port}"
            assert (await browser.get(f"{url}/healthz")).status_code == 200
            assert (
                await browser.get(f"{url}/healthz", headers={"Host": "evil.example"})
            ).status_code == 403
            assert (
                await browser.get(f"{url}/healthz", headers={"Host": f"localhost:{port}"})
            ).status_code == 200
            for origin, status in (("http://evil.example", 403), ("null", 403), (url, 405)):
                answer = await browser.post(f"{url}/healthz", headers={"Origin": origin})
                assert answer.status_code == status

    run(scenario())
