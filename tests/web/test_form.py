"""The form over HTTP: what it shows, what it writes, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import errno
import html
import json
import os
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.manifests.schema_export import json_schema
from reconciler.model.settings import Settings
from reconciler.web.access.roles import Role
from tests.control.manifests import save, text
from tests.web.daemon import Daemon, daemon

NEW = {
    "editing": "",
    "spec.title": "Отдел продаж",
    "spec.source.host": "mail.example.com",
    "spec.source.protocol": "imap",
    "ssl": "on",
    "spec.source.username": "sales@example.org",
    "password": "geheim-1",
    "recipient": "forward",
    "spec.recipient.detect.default": "",
    "spec.recipient.forwardTo": "sales@example.net",
    "spec.collect.mode": "new-keep",
    "spec.collect.interval": "5m",
    "spec.collect.limit": "100",
}
COMMENTED = """\
# who answers: Anna
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}   # the name
spec:
  source:
    protocol: imap
    host: 'imap.example.org'
    username: sales@example.org
    password: {env: P}
  collect: {interval: 10m}  # often
  recipient: {forwardTo: sales@example.net}
"""


MANIFESTS = {"sales": COMMENTED}


@asynccontextmanager
async def loaded(root: Path, settings: Settings) -> AsyncIterator[Daemon]:
    async with daemon(root, settings) as found:
        await found.controller.turn()
        yield found


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def files(directory: Path) -> list[str]:
    """The names in a directory that there may be."""
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def manifests(root: Path) -> list[str]:
    """The names of the manifests in a directory."""
    return sorted(path.name for path in root.glob("*.yaml"))


def sent(page: httpx.Response) -> dict[str, str]:
    """What a browser would send of the page's form, if nobody changed anything."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", page.text):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind = attributes.get("type", "text")
        if kind not in {"checkbox", "radio"} or " checked" in tag:
            found[attributes["name"]] = html.unescape(attributes.get("value", ""))
    for name, content in re.findall(
        r'<textarea [^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', page.text, re.DOTALL
    ):
        found[name] = html.unescape(content)
    for name, content in re.findall(
        r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', page.text, re.DOTALL
    ):
        chosen = re.search(r'<option value="([^"]*)" selected', content)
        found[name] = html.unescape(chosen[1]) if chosen else ""
    return found


def wrong(page: httpx.Response) -> dict[str, str]:
    """The messages at fields, by the names of these."""
    found = re.findall(r'<span class="wrong" id="w-([^"]*)">(.*?)</span>\n', page.text, re.DOTALL)
    return {name: html.unescape(re.sub("<[^>]*>", "", message)) for name, message in found}


def test_the_form_has_the_fields_in_their_order_with_their_defaults(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.get("/add")
            assert page.status_code == 200
            names = [
                "spec.title",
                "spec.source.host",
                "spec.source.protocol",
                "ssl",
                "spec.source.username",
                "password",
                "recipient",
                "spec.recipient.detect.default",
                "spec.recipient.forwardTo",
                "spec.collect.mode",
                "spec.collect.interval",
                "spec.collect.limit",
                "metadata.name",
            ]
            places = [page.text.index(f'name="{name}"') for name in names]
            assert places == sorted(places)
            values = sent(page)
            assert values["ssl"] == "on"
            assert values["spec.source.protocol"] == "imap"
            assert values["spec.collect.mode"] == "new-keep"
            assert values["spec.collect.interval"] == "5m"
            assert values["spec.collect.limit"] == "100"
            assert values["password"] == ""

    run(scenario())


def test_adding_writes_a_short_manifest_and_a_secret_file(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            answer = await found.client.post("/add", data=NEW)
            assert answer.status_code == 303
            assert answer.headers["location"] == "/collectors/otdel-prodazh?done=save"
            written = (root / "otdel-prodazh.yaml").read_text().partition("\n")[2]
            assert written == (
                "apiVersion: mailcollector/v1\n"
                "kind: MailCollector\n"
                "metadata: {name: otdel-prodazh}\n"
                "spec:\n"
                "  title: Отдел продаж\n"
                "  source:\n"
                "    protocol: imap\n"
                "    host: mail.example.com\n"
                "    username: sales@example.org\n"
                "    password: {file: ../secrets/otdel-prodazh}\n"
                "  recipient: {forwardTo: sales@example.net}\n"
            )
            secret = root.parent / "secrets" / "otdel-prodazh"
            assert secret.read_text() == "geheim-1\n"
            assert secret.stat().st_mode & 0o777 == 0o600
            listed = await found.get("/api/v1/collectors")
            assert {one["metadata"]["name"] for one in listed["items"]} == {
                "otdel-prodazh",
                "sales",
            }
            again = await found.client.post("/add", data={**NEW, "password": "geheim-2"})
            assert again.headers["location"] == "/collectors/otdel-prodazh-2?done=save"
            page = await found.client.get("/collectors/otdel-prodazh/edit")
            assert "geheim" not in page.text

    run(scenario())


def test_the_server_of_a_known_provider_is_filled_in(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            answer = await found.client.get("/form/provider?login=anna@yandex.ru")
            assert answer.json()["host"] == "imap.yandex.ru"
            assert "app password" in answer.json()["advice"][0]
            assert (await found.client.get("/form/provider?login=a@example.org")).json() == {}
            data = {**NEW, "spec.source.host": "", "spec.source.username": "anna@yandex.ru"}
            assert (await found.client.post("/add", data=data)).status_code == 303
            assert "host: imap.yandex.ru" in (root / "otdel-prodazh.yaml").read_text()

    run(scenario())


def test_what_is_missing_stands_at_its_field(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.post("/add", data={"editing": "", "ssl": "on"})
            assert page.status_code == 422
            assert wrong(page).keys() == {
                "spec.title",
                "spec.source.host",
                "spec.source.username",
                "password",
                "spec.recipient.forwardTo",
            }
            assert page.text.count('aria-invalid="true"') == 5
            assert files(root) == ["sales.yaml"]
            russian = await found.client.post(
                "/add", data={"editing": ""}, headers={"Accept-Language": "ru"}
            )
            assert wrong(russian)["spec.source.username"] == "Введите логин."

    run(scenario())


def test_what_rules_find_stands_at_its_field_and_says_how_to_put_it_right(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            data = {
                **NEW,
                "spec.collect.interval": "often",
                "spec.source.port": "99999",
                "spec.source.fingerprint": "x",
                "spec.recipient.forwardTo": "nobody",
            }
            page = await found.client.post("/add", data=data)
            assert page.status_code == 422
            assert wrong(page).keys() == {
                "spec.collect.interval",
                "spec.source.port",
                "spec.source.fingerprint",
                "spec.recipient.forwardTo",
            }
            assert '<a href="#f-spec.source.port">Port</a>: Write a whole number' in page.text
            assert wrong(page)["spec.collect.interval"].startswith("“often” is no interval")
            assert str(root) not in page.text
            assert "`" not in " ".join(wrong(page).values())
            russian = await found.client.post("/add", data=data, headers={"Accept-Language": "ru"})
            assert wrong(russian)["spec.collect.interval"].startswith("Укажите интервал")
            assert '<details class="more" open>' in page.text
            assert "geheim-1" not in page.text
            assert files(root.parent / "secrets") == []

    run(scenario())


def test_editing_keeps_comments_order_and_quoting(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            values = sent(await found.client.get("/collectors/sales/edit"))
            values |= {"spec.collect.interval": "7m", "spec.title": "Sales"}
            answer = await found.client.post("/collectors/sales/edit", data=values)
            assert answer.status_code == 303
            written = (root / "sales.yaml").read_text()
            assert written.replace("  title: Sales\n", "") == COMMENTED.replace("10m", "7m")

    run(scenario())


def test_a_form_that_is_sent_unchanged_writes_nothing(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            before = (root / "sales.yaml").stat()
            values = sent(await found.client.get("/collectors/sales/edit"))
            answer = await found.client.post("/collectors/sales/edit", data=values)
            assert answer.status_code == 303
            assert os.stat(root / "sales.yaml") == before  # noqa: PTH116

    run(scenario())


def test_a_new_password_takes_the_place_of_the_old_one(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            for password in ("first", "second"):
                values = sent(await found.client.get("/collectors/sales/edit"))
                answer = await found.client.post(
                    "/collectors/sales/edit", data={**values, "password": password}
                )
                assert answer.status_code == 303
            assert "password: {file: ../secrets/sales}" in (root / "sales.yaml").read_text()
            assert (root.parent / "secrets" / "sales").read_text() == "second\n"

    run(scenario())


def test_somebody_elses_change_is_shown_and_mine_goes_on_top(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            values = sent(await found.client.get("/collectors/sales/edit"))
            save(root, "sales", COMMENTED.replace("10m", "1h").replace("Anna", "Boris"))
            page = await found.client.post(
                "/collectors/sales/edit", data={**values, "spec.title": "Mine"}
            )
            assert page.status_code == 409
            assert "+# who answers: Boris" in page.text
            assert "Boris" in (root / "sales.yaml").read_text()
            assert "Mine" not in (root / "sales.yaml").read_text()
            mine = sent(page)
            assert (mine["spec.title"], mine["spec.collect.interval"]) == ("Mine", "1h")
            answer = await found.client.post("/collectors/sales/edit", data=mine)
            assert answer.status_code == 303
            written = (root / "sales.yaml").read_text()
            assert "title: Mine" in written
            assert "interval: 1h" in written
            assert "Boris" in written

    run(scenario())


def test_what_will_be_written_is_shown_before(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            new = await found.client.post("/form/preview", data=NEW)
            assert "password: {file: ../secrets/otdel-prodazh}" in new.text
            assert "<html" not in new.text
            assert "geheim" not in new.text
            values = sent(await found.client.get("/collectors/sales/edit"))
            values |= {"spec.collect.mode": "all-delete"}
            found.registry.rows["sales"].size = 1234
            changed = await found.client.post("/form/preview", data=values)
            assert '<span class="added">' in changed.text
            assert "1,234 messages will be collected again" in changed.text
            assert "with all-delete everything on the server is collected" in changed.text
            russian = await found.client.post(
                "/form/preview", data=values, headers={"Accept-Language": "ru"}
            )
            assert re.search(r"1\s234 письма будут собраны снова", russian.text)
            half = await found.client.post(
                "/form/preview", data={"editing": "", "spec.title": "<b>"}
            )
            assert half.status_code == 200
            assert "&lt;b&gt;" in half.text
            assert files(root) == ["sales.yaml"]

    run(scenario())


def test_a_check_before_saving_uses_the_typed_password_and_keeps_nothing(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            part = await found.client.post("/form/check?part=1", data=NEW)
            assert part.status_code == 200
            assert "The check succeeded" in part.text
            assert "<html" not in part.text
            page = await found.client.post("/form/check", data=NEW)
            assert "The check succeeded" in page.text
            assert 'value="Отдел продаж"' in page.text
            assert "geheim" not in page.text
            assert files(root) == ["sales.yaml"]
            assert files(root.parent / "secrets") == []
            unfit = await found.client.post(
                "/form/check?part=1", data={**NEW, "spec.source.username": ""}
            )
            assert "Not checked yet" in unfit.text
            assert "Type the login." in unfit.text

    run(scenario())


@pytest.mark.parametrize("known", [True, False], ids=["known", "found out when writing"])
def test_in_a_read_only_directory_the_manifest_is_shown(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    if known:
        monkeypatch.setattr("reconciler.control.manifest_service.is_writable", lambda _: False)
    monkeypatch.setattr("reconciler.control.manifest_writing.provide", refuse)
    monkeypatch.setattr("reconciler.control.manifest_writing.replace_unsynced", refuse)

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.post("/add", data=NEW)
            values = sent(await found.client.get("/collectors/sales/edit"))
            edited = await found.client.post(
                "/collectors/sales/edit", data={**values, "spec.collect.interval": "9m"}
            )
            assert (page.status_code, edited.status_code) == (409, 409)
            assert "metadata: {name: otdel-prodazh}" in page.text
            assert "+++ b/otdel-prodazh.yaml" in page.text
            assert "../secrets/otdel-prodazh" in page.text
            assert "geheim" not in page.text
            assert "-  collect: {interval: 10m}  # often" in edited.text
            assert files(root) == ["sales.yaml"]
            assert "otdel-prodazh" not in files(root.parent / "secrets")

    run(scenario())


def test_a_field_of_tomorrow_is_in_the_page(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads(json_schema.text())
    whole["definitions"]["CollectSpec"]["properties"]["deleteAfter"] = {
        "type": "string",
        "title": "Delete later",
        "description": "When it is deleted there.",
        "unit": "days",
        "default": "14d",
    }
    monkeypatch.setattr(json_schema, "text", lambda: json.dumps(whole))

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.get("/add")
            assert "Delete later" in page.text
            assert "When it is deleted there." in page.text
            assert '<span class="unit">days</span>' in page.text
            field = re.search(r'<input [^>]*name="spec.collect.deleteAfter"[^>]*>', page.text)
            assert field
            assert 'placeholder="14d"' in field[0]
            data = {**NEW, "spec.collect.deleteAfter": "30d"}
            preview = await found.client.post("/form/preview", data=data)
            assert "collect: {deleteAfter: 30d}" in preview.text

    run(scenario())


def test_the_form_needs_the_role_edit(root: Path, settings: Settings) -> None:
    from reconciler.web.page.form_view import FormView  # noqa: PLC0415  # imports jinja2

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            assert {one.role for one in FormView(found.control).routes()} == {Role.EDIT}

    run(scenario())


def test_a_collector_that_is_not_declared_is_not_found(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            headers = {"Accept": "text/html"}
            page = await found.client.get("/collectors/nobody/edit", headers=headers)
            assert page.status_code == 404
            spoilt = {**NEW, "editing": "sales", "base": "{", "etag": "x"}
            answer = await found.client.post("/collectors/sales/edit", data=spoilt)
            assert answer.status_code == 409

    run(scenario())


def test_a_form_that_is_sent_twice_is_saved_once(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = sent(await found.client.get("/add"))
            first, second = await asyncio.gather(
                *(found.client.post("/add", data=page | NEW) for _ in range(2))
            )
            assert first.status_code == second.status_code == 303
            assert first.headers["location"] == second.headers["location"]
            assert manifests(root) == ["otdel-prodazh.yaml", "sales.yaml"]
            values = sent(await found.client.get("/collectors/sales/edit"))
            for title, status in (("One", 303), ("One", 303), ("Two", 409)):
                answer = await found.client.post(
                    "/collectors/sales/edit", data={**values, "spec.title": title}
                )
                assert answer.status_code == status

    run(scenario())


def test_two_people_add_collectors_of_one_title(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            pages = [sent(await found.client.get("/add")) for _ in range(2)]
            for page in pages:
                answer = await found.client.post("/add", data=page | NEW)
                assert answer.status_code == 303
            assert manifests(root) == ["otdel-prodazh-2.yaml", "otdel-prodazh.yaml", "sales.yaml"]
            named = NEW | {"metadata.name": "mine"}
            answers = await asyncio.gather(
                *(found.client.post("/add", data=named | {"password": p}) for p in ("a", "b"))
            )
            assert sorted(one.status_code for one in answers) == [303, 422]
            (refused,) = (one for one in answers if one.status_code == 422)
            assert wrong(refused).keys() == {"metadata.name"}
            (kept,) = (root.parent / "secrets").glob("mine*")  # mine-2 where the other was first
            assert kept.read_text() == ("a\n" if answers[0].status_code == 303 else "b\n")

    run(scenario())


def test_a_secret_in_the_manifest_itself_is_not_shown(root: Path, settings: Settings) -> None:
    save(root, "sales", COMMENTED.replace("{env: P}", "{value: geheim}"))

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.get("/collectors/sales/edit")
            assert page.status_code == 200
            assert "geheim" not in page.text
            values = {**sent(page), "password": "better"}
            assert "geheim" not in (await found.client.post("/form/preview", data=values)).text
            answer = await found.client.post("/collectors/sales/edit", data=values)
            assert answer.status_code == 303
            assert "password: {file: ../secrets/sales}" in (root / "sales.yaml").read_text()

    run(scenario())


def test_strange_texts_are_harmless(root: Path, settings: Settings) -> None:
    strange = text("odd", title='"<script>alert(1)</script>\\u202e"')
    save(root, "odd", strange)

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.get("/collectors/odd/edit")
            assert "<script>alert" not in page.text

    run(scenario())
