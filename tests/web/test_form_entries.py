"""What clumsy and hostile people type into the form: each entry gives the right manifest, or a
clear message at its field."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.control.manifest_service import ManifestService
from reconciler.model.settings import Settings
from reconciler.web.page.form_fields import shown_values
from reconciler.web.page.login_provider import known_account
from reconciler.web.page.page_translation import Language
from reconciler.web.page.schema_fields import collector_fields
from reconciler.web.page.tidy_entries import tidy
from tests.control.manifests import save
from tests.web.test_form import COMMENTED, NEW, files, loaded, wrong

MANIFESTS = {"sales": COMMENTED}
FIELDS = collector_fields()
EMPTY = shown_values(FIELDS, {}, {})
SERVER, PORT, TYPE = "spec.source.host", "spec.source.port", "spec.source.protocol"
TITLE, LOGIN, NAME = "spec.title", "spec.source.username", "metadata.name"
INTERVAL, LIMIT, FORWARD = "spec.collect.interval", "spec.collect.limit", "spec.recipient.forwardTo"
SIZE, TIMEOUT, LABELS = "spec.collect.maxMessageSize", "spec.source.timeout", "metadata.labels"

TAKEN: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({SERVER: "  imap.почта.рф "}, {SERVER: "imap.почта.рф"}),
    ({SERVER: "imaps://mail.example.com:993/"}, {SERVER: "mail.example.com", PORT: 993}),
    ({SERVER: "pop3s://mail.example.com"}, {SERVER: "mail.example.com", TYPE: "pop3"}),
    ({SERVER: "mail.example.com:1993"}, {SERVER: "mail.example.com", PORT: 1993}),
    ({SERVER: "[2001:db8::1]"}, {SERVER: "2001:db8::1", PORT: None}),
    ({SERVER: "[::1]:993"}, {SERVER: "::1", PORT: 993}),
    ({PORT: "9 93"}, {PORT: 993}),
    ({INTERVAL: "7 min"}, {INTERVAL: "7m"}),
    ({INTERVAL: "1 час 30 мин."}, {INTERVAL: "1h30m"}),
    ({SIZE: "50 mb"}, {SIZE: "50MB"}),
    ({TIMEOUT: "90 s"}, {TIMEOUT: "90s"}),
    ({LIMIT: "10 000"}, {LIMIT: 10_000}),
    (
        {TITLE: 'say "hi" # no: comment'},
        {TITLE: 'say "hi" # no: comment', NAME: "say-hi-no-comment"},
    ),
    ({TITLE: "Größe"}, {TITLE: "Größe", NAME: "grosse"}),
    ({TITLE: "null"}, {TITLE: "null", NAME: "null"}),
    ({TITLE: "sales"}, {NAME: "sales-2"}),
    ({LOGIN: "o'brien\"@example.org"}, {LOGIN: "o'brien\"@example.org"}),
    ({FORWARD: "mailto:anna@икс.рф"}, {FORWARD: "anna@икс.рф"}),
    ({SERVER: "", LOGIN: "Anna@GMail.com"}, {SERVER: "imap.gmail.com", LOGIN: "Anna@GMail.com"}),
    ({SERVER: "", LOGIN: "anna@mail.ru", TYPE: "pop3"}, {SERVER: "pop.mail.ru", TYPE: "pop3"}),
]
REFUSED: list[tuple[str, str, str]] = [
    (SERVER, "anna@example.com", "is no host"),
    (SERVER, "https://mail.example.com/webmail", "without port, user or path"),
    (SERVER, "mail example com", "is no host"),
    (SERVER, "", "Name the server"),
    (PORT, "0", "from 1 to 65,535"),
    (PORT, "abc", "from 1 to 65,535"),
    (LIMIT, "-1", "from 0 to 1,000,000,000"),
    (LIMIT, "9" * 20, "from 0 to 1,000,000,000"),
    (INTERVAL, "5", "write it like 90s, 5m, 1h30m or 1d"),
    (INTERVAL, "5 fortnights", "write it like 90s, 5m, 1h30m or 1d"),
    (TITLE, "!!!", "a letter or a digit"),
    (TITLE, "a\x00b", "in one line"),
    (TITLE, "x" * 2000, "at most 1024"),
    (NAME, "sales", "take another name"),
    (NAME, "../../etc/passwd", "use a-z, 0-9"),
    (LOGIN, "x" * 200_000, "at most 1024"),
    (LOGIN, "", "Type the login"),
    ("password", "two\nlines", "one line of printable characters"),
    (FORWARD, "a@example.net, b@example.net", "is no mail address"),
    (FORWARD, "Anna <anna@example.net>", "only what stands between"),
    (LABELS, "team", "a colon"),
    (LABELS, "team: x\nteam: y", "twice"),
    ("spec.destination", "nowhere", "no Destination of this name"),
]


def value(data: Any, path: str) -> Any:
    for key in path.split("."):
        data = data.get(key, {}) if isinstance(data, dict) else {}
    return data or None


def test_N1_N6_numbers_without_end_stay_as_they_are() -> None:
    """For a rule to say so, and without looking at each digit again for every other one."""
    for typed in ("9" * 5000 + " min", "9" * 500_000):
        assert tidy(EMPTY | {INTERVAL: typed}, EMPTY, FIELDS)[INTERVAL] == typed


def test_entries_that_are_meant_well_give_the_right_manifest(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            for typed, wanted in TAKEN:
                shown = await found.client.post("/form/preview", data=NEW | typed)
                lines = re.findall(r'<span class="line">(.*?)\n</span>', shown.text, re.DOTALL)
                manifest = YAML(typ="safe").load(html.unescape("\n".join(lines)))
                assert {key: value(manifest, key) for key in wanted} == wanted, typed
            assert files(root) == ["sales.yaml"]

    asyncio.run(scenario())


def test_other_entries_are_refused_at_their_fields_with_what_to_do(
    root: Path, settings: Settings
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            for field, typed, words in REFUSED:
                page = await found.client.post("/add", data={**NEW, field: typed})
                assert page.status_code == 422, field
                assert wrong(page).keys() == {field}, typed[:40]
                assert words in wrong(page)[field]
                assert f'<a href="#f-{field}">' in page.text
                assert str(root.parent) not in page.text
            assert files(root) == ["sales.yaml"]
            assert files(root.parent / "secrets") == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" secret ", " secret \n"), ("secret\r\n", "secret\n"), ("пароль", "пароль\n")],
)
def test_a_password_keeps_its_spaces_and_loses_its_line_end(
    root: Path, settings: Settings, typed: str, kept: str
) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            answer = await found.client.post("/add", data={**NEW, "password": typed})
            assert answer.status_code == 303
            secret = root.parent / "secrets" / "otdel-prodazh"
            assert secret.read_bytes().decode() == kept

    asyncio.run(scenario())


def test_what_nobody_changed_is_not_tidied() -> None:
    loaded_values = EMPTY | {FORWARD: "mailto:x@example.net", INTERVAL: "5 min"}
    assert tidy(loaded_values, loaded_values, FIELDS) == loaded_values
    assert tidy({TITLE: "x"}, loaded_values, FIELDS) == {TITLE: "x"}
    port = EMPTY | {SERVER: "mail.example.com:1993", PORT: "993"}
    assert tidy(port, EMPTY, FIELDS) == port  # two ports: a rule says so


@pytest.mark.parametrize(
    ("login", "server"),
    [
        ("anna@gmail.com", "imap.gmail.com"),
        ("anna@yandex.ru", "imap.yandex.ru"),
        ("anna@mail.ru", "imap.mail.ru"),
        ("anna@outlook.com", "outlook.office365.com"),
        ("anna@own.example", ""),
        ("@", ""),
        ("<script>@gmail.com", "imap.gmail.com"),
    ],
)
def test_the_provider_of_a_login_is_known_or_not(login: str, server: str) -> None:
    found = known_account(login, "", Language("en"))
    assert (found.host if found else "") == server


def test_names_of_other_manifests_are_offered(root: Path, settings: Settings) -> None:
    other = "apiVersion: mailcollector/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
    save(
        root,
        "maildirs",
        other.format("Destination", "local", "{default: true, maildir: {path: m}}"),
    )
    save(root, "lmtp", other.format("Destination", "far", "{lmtp: {host: 127.0.0.1, port: 24}}"))
    save(root, "office", other.format("Template", "office", "{collect: {interval: 1h}}"))

    def options(page: str, field: str) -> list[str]:
        shown = re.search(rf'<select id="f-{field}".*?</select>', page, re.DOTALL)
        assert shown
        return [html.unescape(one) for one in re.findall(r"<option[^>]*>([^<]*)", shown[0])]

    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = (await found.client.get("/add")).text
            assert options(page, "spec.destination") == ["Default: local", "far", "local"]
            assert options(page, "spec.from") == ["None", "office"]
            text = COMMENTED.replace("spec:\n", "spec:\n  destination: gone\n  from: office\n")
            save(root, "sales", text)
            page = (await found.client.get("/collectors/sales/edit")).text
            assert options(page, "spec.destination") == [
                "As the template says", "far", "local", "gone (not declared)"
            ]  # fmt: skip
            assert '<option value="office" selected>' in page
            assert isinstance(found.control.manifests, ManifestService)

    asyncio.run(scenario())


def test_changes_are_coloured_by_lines(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with loaded(root, settings) as found:
            page = await found.client.get("/collectors/sales/delete")
            assert '<span class="removed">-kind: MailCollector' in page.text
            assert '<span class="faint">--- a/sales.yaml' in page.text
            assert "style=" not in page.text

    asyncio.run(scenario())
