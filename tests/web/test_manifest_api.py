"""Changes of manifests over the API: a real directory, the control loop and the control socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.manifest_writing import ReadOnlyManifests
from reconciler.model.settings import Settings
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.captured_logs import capture_logs
from tests.control.manifests import COMMENTED, save, text
from tests.web.daemon import daemon, run
from tests.web.test_connections import listening, patient

SALES = "/api/v1/collectors/sales"
YAML = {"Content-Type": "application/yaml"}


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mailcollector/v1",
        "kind": "MailCollector",
        "metadata": {"name": name},
        "spec": {
            "source": {
                "protocol": "imap",
                "host": "imap.example",
                "username": name,
                "password": {"env": "P"},
            },
            "recipient": {"forwardTo": f"{name}@local.example"},
            **spec,
        },
    }


def test_one_is_given_changed_and_given_back_with_its_comments(
    root: Path,
    settings: Settings,
) -> None:
    file = save(root, "sales", COMMENTED)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            found = await here.client.get(SALES)
            assert found.json()["spec"]["source"]["host"] == "imap.example"
            assert found.json()["status"]["conditions"]
            as_yaml = await here.client.get(SALES, headers={"Accept": "application/yaml"})
            assert as_yaml.text == COMMENTED
            assert as_yaml.headers["content-type"].startswith("application/yaml")
            etag = found.headers["etag"]
            assert as_yaml.headers["etag"] == etag
            body = found.json()
            body["spec"]["title"] = "Shop"
            body["spec"]["collect"]["interval"] = "7m"

            answer = await here.client.put(SALES, json=body)
            assert (answer.status_code, answer.json()["reason"]) == (428, "PreconditionRequired")
            for other in ('"no"', f"W/{etag}"):
                answer = await here.client.put(SALES, json=body, headers={"If-Match": other})
                assert answer.status_code == 412
            assert file.read_text() == COMMENTED

            with capture_logs() as logs:
                answer = await here.client.put(
                    SALES, json=body, headers={"If-Match": f'"no", {etag}'}
                )
            assert answer.status_code == 200
            after = COMMENTED.replace("5m", "7m") + "  title: Shop\n"
            assert etag.strip('"') == hashlib.sha256(COMMENTED.encode()).hexdigest()
            assert file.read_text() == after
            assert answer.json()["spec"]["title"] == "Shop"
            assert answer.json()["collector"]["spec"]["collect"]["interval"] == "7m"
            assert answer.headers["etag"] not in {etag, ""}
            (told,) = [one for one in logs if one["event"] == "manifest changed"]
            assert (told["collector"], told["what"]) == ("sales", "replace")
            assert told["by"] == "the control socket"

            # a second person, who has the version of before
            answer = await here.client.put(SALES, json=body, headers={"If-Match": etag})
            assert (answer.status_code, answer.json()["reason"]) == (412, "PreconditionFailed")
            answer = await here.client.put(
                SALES, content=COMMENTED, headers={"If-Match": "*", **YAML}
            )
            assert answer.status_code == 200
            assert file.read_text() == COMMENTED
            assert answer.headers["etag"] == etag

    run(scenario())


def test_two_people_at_once(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            found = await here.client.get(SALES)
            headers = {"If-Match": found.headers["etag"]}
            answers = await asyncio.gather(
                *(
                    here.client.put(SALES, json=manifest("sales", title=f"{n}"), headers=headers)
                    for n in range(5)
                )
            )
            assert sorted(one.status_code for one in answers) == [200, 412, 412, 412, 412]
            (done,) = [one for one in answers if one.status_code == 200]
            assert (await here.get(SALES))["spec"]["title"] == done.json()["spec"]["title"]

    run(scenario())


def test_a_new_one_and_its_end(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            tried = await here.client.post(
                "/api/v1/collectors?dryRun=true", json=manifest("new", title=None)
            )
            assert tried.status_code == 200
            assert tried.json()["plan"]["counts"] == {"Start": 1}
            assert tried.json()["path"] == "new.yaml"
            assert tried.json()["yaml"].splitlines()[1] == "apiVersion: mailcollector/v1"
            assert tried.json()["diff"].startswith("--- /dev/null\n+++ b/new.yaml\n@@ -0,0 +1,")
            assert not here.file("new").exists()

            made = await here.client.post("/api/v1/collectors", json=manifest("new"))
            assert made.status_code == 201
            assert made.headers["location"] == "/api/v1/collectors/new"
            assert made.headers["etag"]
            assert here.file("new").read_text() == tried.json()["yaml"]
            again = await here.client.post("/api/v1/collectors", json=manifest("new"))
            assert (again.status_code, again.json()["reason"]) == (409, "AlreadyDeclared")
            other = await here.client.post(
                "/api/v1/collectors", content=text("other"), headers=YAML
            )
            assert other.status_code == 201
            assert here.file("other").read_text() == text("other")

            path = "/api/v1/collectors/new"
            assert (await here.client.post(f"{path}/disable")).json()["spec"]["enabled"] is False
            assert (await here.get(path))["spec"]["enabled"] is False
            assert (await here.client.post(f"{path}/enable")).json()["spec"]["enabled"] is True
            assert (await here.client.delete(path)).status_code == 428
            tried = await here.client.delete(f"{path}?dryRun=true")
            (step,) = tried.json()["plan"]["steps"]
            assert (step["step"], step["name"]) == ("Stop", "new")
            assert "its history (0 messages remembered) is kept until" in step["consequences"][0]
            assert tried.json()["manifest"] is None
            gone = await here.client.delete(path, headers={"If-Match": tried.headers["etag"]})
            assert gone.status_code == 204
            assert not here.file("new").exists()
            assert (await here.client.get(path)).status_code == 404
            answer = await here.client.delete(path, headers={"If-Match": "*"})
            assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")

    run(scenario())


def test_the_last_ones_may_be_deleted_too(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            for name in ("sales", "off"):
                answer = await here.client.delete(
                    f"/api/v1/collectors/{name}", headers={"If-Match": "*"}
                )
                assert answer.status_code == 204
            assert (await here.get("/api/v1/collectors"))["total"] == 0

    run(scenario())


@pytest.mark.parametrize("trial", ["", "?dryRun=true"])
def test_an_invalid_one_says_where(
    root: Path,
    settings: Settings,
    trial: str,
) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            before = here.file("sales").read_text()
            headers = {"If-Match": "*", **YAML}

            async def refused(content: str) -> Any:
                answer = await here.client.put(SALES + trial, content=content, headers=headers)
                assert answer.status_code == 422
                assert answer.headers["content-type"] == "application/problem+json"
                assert here.file("sales").read_text() == before
                return answer.json()

            (found,) = (await refused(text("sales", "5 apples")))["diagnostics"]
            assert (found["line"], found["column"]) == (6, 23)
            assert (found["path"], found["rule"]) == ("spec.collect.interval", "interval")
            assert found["message"]
            (found,) = (await refused("a: [1\nb: 2\n"))["diagnostics"]
            assert (found["line"], found["rule"]) == (2, "syntax")
            (found,) = (await refused("a: \x00\n"))["diagnostics"]
            assert found["rule"] == "control-character"
            assert (await refused(text("other")))["detail"].endswith("MailCollector sales")
            assert "one manifest" in (await refused(f"{text('sales')}---\n{text('b')}"))["detail"]
            assert [one["rule"] for one in (await refused(""))["diagnostics"]] == ["empty-file"]
            empty = await here.client.put(SALES + trial, json={}, headers={"If-Match": "*"})
            assert {one["rule"] for one in empty.json()["diagnostics"]} == {"missing-key"}
            answer = await here.client.post(f"/api/v1/collectors{trial}", json={})
            assert {one["rule"] for one in answer.json()["diagnostics"]} == {"missing-key"}
            answer = await here.client.post(
                f"/api/v1/collectors{trial}", json=manifest("new", nonsense=1)
            )
            assert answer.status_code == 422
            assert [one["path"] for one in answer.json()["diagnostics"]] == ["spec.nonsense"]
            answer = await here.client.post(
                f"/api/v1/collectors{trial}", json=manifest("../../etc/x")
            )
            assert answer.status_code == 422
            assert [one["path"] for one in answer.json()["diagnostics"]] == ["metadata.name"]

    run(scenario())


def test_what_is_no_manifest_at_all(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()

            async def status(content: bytes | str, kind: str = "application/json") -> int:
                headers = {"Content-Type": kind, "If-Match": "*"}
                answer = await here.client.put(SALES, content=content, headers=headers)
                assert answer.headers["content-type"] == "application/problem+json"
                return answer.status_code

            assert await status("{}", "text/html") == 415
            assert await status("{}", "application/json; charset=latin-1") == 415
            assert await status("{") == 400
            assert await status("[]") == 400
            assert await status('{"a": 1, "a": 2}') == 400
            assert await status('{"a": NaN}') == 400
            assert await status('{"a": ' + "1" * 5000 + "}") == 400
            assert await status('{"a":' * 100_000 + "1" + "}" * 100_000) == 400
            assert await status('{"a":' * 100 + "1" + "}" * 100) == 400
            assert await status(b"\xff") == 400
            assert await status('{"kind": "\\ud800"}') == 422
            assert await status(json.dumps({"a": "x" * (1 << 20)})) == 413
            assert await status("x" * (1 << 20), "application/yaml") == 422
            answer = await here.client.put(SALES, json={}, headers={"If-Match": "sales"})
            assert answer.status_code == 412
            answer = await here.client.put(f"{SALES}?dryRun=perhaps", json={})
            assert answer.status_code == 400

    run(scenario())


SEVERAL = f"""\
# all of us
{text("sales")}---
# the other one
{text("other")}---
apiVersion: mailcollector/v1
kind: Destination
metadata: {{name: local}}
spec: {{default: true, maildir: {{path: "/var/mail/{{local}}"}}}}
"""


def test_one_of_several_in_a_file(root: Path, settings: Settings) -> None:
    file = save(root, "sales", SEVERAL)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            path = "/api/v1/collectors/other"
            found = await here.client.get(path, headers={"Accept": "application/yaml"})
            assert found.text == f"---\n# the other one\n{text('other')}"
            sales = await here.client.get(SALES)
            headers = {"If-Match": found.headers["etag"], **YAML}
            answer = await here.client.put(
                path, content=text("other", "9m").rstrip(), headers=headers
            )
            assert answer.status_code == 200
            after = SEVERAL.replace("# the other one\n", "").replace(
                text("other"), text("other", "9m")
            )
            assert file.read_text() == after
            again = await here.client.get(SALES)
            assert again.headers["etag"] == sales.headers["etag"], "its document is the same"
            answer = await here.client.put(
                path, content=text("other", "none"), headers={"If-Match": "*", **YAML}
            )
            (found_one,) = answer.json()["diagnostics"]
            assert found_one["line"] == 6, "the line of what was sent, without a ---"
            answer = await here.client.delete(SALES, headers={"If-Match": "*"})
            assert answer.status_code == 204
            assert "name: sales" not in file.read_text()
            assert "name: other" in file.read_text()
            assert "name: local" in file.read_text()

    run(scenario())


TEMPLATE = """\
apiVersion: mailcollector/v1
kind: Template
metadata: {name: office}
spec:
  source: {protocol: imap, host: imap.example, password: {env: P}}
  collect: {interval: 5m}
"""
USER = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: user}
spec:
  from: office
  source: {username: user}
  recipient: {forwardTo: user@local.example}
"""


def test_a_user_of_a_template_says_only_what_is_its_own(
    root: Path,
    settings: Settings,
) -> None:
    save(root, "office", TEMPLATE)
    file = save(root, "user", USER)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            found = await here.get("/api/v1/collectors/user")
            assert "collect" not in found["spec"]
            assert found["collector"]["spec"]["source"]["host"] == "imap.example"
            found["spec"]["collect"] = {"interval": "9m"}
            answer = await here.client.put(
                "/api/v1/collectors/user", json=found, headers={"If-Match": "*"}
            )
            assert answer.status_code == 200
            assert file.read_text() == f"{USER}  collect: {{interval: 9m}}\n"
            spec = answer.json()["collector"]["spec"]
            assert (spec["collect"]["interval"], spec["source"]["host"]) == ("9m", "imap.example")
            answer = await here.client.post("/api/v1/collectors/user/enable")
            assert answer.json()["spec"]["enabled"] is True

    run(scenario())


def test_a_file_that_went_or_changed_meanwhile(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            etag = (await here.client.get(SALES)).headers["etag"]
            save(root, "sales", "\n\n" + text("sales", "8m"))  # no turn has seen that
            found = await here.client.get(SALES)
            assert found.headers["etag"] != etag
            assert found.json()["spec"]["collect"] == {"interval": "8m"}
            answer = await here.client.put(SALES, json=found.json(), headers={"If-Match": etag})
            assert answer.status_code == 412
            here.file("sales").unlink()
            answer = await here.client.put(SALES, json=found.json(), headers={"If-Match": "*"})
            assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")
            save(root, "new")
            answer = await here.client.post("/api/v1/collectors/new/disable")
            assert answer.status_code == 200, "nobody had looked yet"
            here.file("new").unlink()
            answer = await here.client.post("/api/v1/collectors", json=manifest("new"))
            assert answer.status_code == 201

    run(scenario())


def test_a_directory_that_is_read_only_answers_what_to_commit(
    root: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = save(root, "sales", COMMENTED).read_text()

    def refuse(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("reconciler.control.manifest_writing.replace_unsynced", refuse)

    async def scenario() -> None:
        async with daemon(root, settings) as here:
            await here.controller.turn()
            after = COMMENTED.replace("5m", "7m")
            answer = await here.client.put(SALES, content=after, headers={"If-Match": "*", **YAML})
            problem = answer.json()
            assert (answer.status_code, problem["reason"]) == (409, ReadOnlyManifests.reason)
            assert (problem["manifest"], problem["path"]) == (after, "sales.yaml")
            assert "+  collect: {interval: 7m}  # as agreed\n" in problem["patch"]
            assert here.file("sales").read_text() == before
            (root / "x.patch").write_text(problem["patch"])
            process = await asyncio.create_subprocess_exec("git", "apply", "x.patch", cwd=root)
            assert await process.wait() == 0
            assert here.file("sales").read_text() == after

    run(scenario())


def test_secrets_in_a_manifest_are_shown_to_nobody_and_survive(
    root: Path,
    settings: Settings,
) -> None:
    inline = text("sales").replace("{env: P}", '{value: "hunter2"}')
    file = save(root, "sales", inline)

    async def scenario() -> None:
        async with daemon(root, settings, allow_inline_secrets=True) as here:
            await here.controller.turn()
            found = await here.client.get(SALES)
            assert found.json()["spec"]["source"]["password"] == {"value": "[redacted]"}
            as_yaml = await here.client.get(SALES, headers={"Accept": "application/yaml"})
            tried = await here.client.put(
                f"{SALES}?dryRun=true",
                json=found.json() | {"spec": found.json()["spec"] | {"title": "x"}},
            )
            for answer in (found, as_yaml, tried):
                assert answer.status_code == 200
                assert "hunter2" not in answer.text
            answer = await here.client.put(
                SALES,
                content=as_yaml.text.replace("5m", "9m"),
                headers={"If-Match": found.headers["etag"], **YAML},
            )
            assert answer.status_code == 200
            assert file.read_text() == inline.replace("5m", "9m")
            body = manifest("new")
            body["spec"]["source"]["password"] = {"value": "[redacted]"}
            answer = await here.client.post("/api/v1/collectors", json=body)
            assert (answer.status_code, answer.json()["reason"]) == (422, "SecretHidden")

    run(scenario())


def test_who_may_change_what_and_whose_name_is_told(
    root: Path,
    settings: Settings,
) -> None:
    tokens = TokenFile(settings.token_file)
    headers = {
        role: {"Authorization": f"Bearer {tokens.create(f'the {role}', role)}", "If-Match": "*"}
        for role in Role
    }

    async def scenario() -> None:
        async with listening(root, settings) as (here, port), patient() as client:
            await here.controller.turn()
            url = f"http://127.0.0.1:{port}"

            async def status(method: str, path: str, role: Role, **more: Any) -> int:
                answer = await client.request(method, url + path, headers=headers[role], **more)
                return answer.status_code

            changed = manifest("sales", title="x")
            for role in (Role.VIEW, Role.OPERATE):
                assert await status("PUT", SALES, role, json=changed) == 403
                assert await status("PUT", f"{SALES}?dryRun=true", role, json=changed) == 403
                assert await status("DELETE", SALES, role) == 403
                assert await status("POST", "/api/v1/collectors", role, json=changed) == 403
            assert await status("POST", f"{SALES}/disable", Role.VIEW) == 403
            with capture_logs() as logs:
                assert await status("POST", f"{SALES}/disable", Role.OPERATE) == 200
                assert await status("PUT", SALES, Role.EDIT, json=changed) == 200
            told = [one["by"] for one in logs if one["event"] == "manifest changed"]
            assert told == ["the operate", "the edit"]

    run(scenario())
