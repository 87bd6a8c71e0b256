"""The form in a real browser, against a real Dovecot: by the names of its fields and buttons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.endtoend.deployment import Daemon
from tests.web.browser.stage import Stage, at

WORDS = {
    "en": {
        "title": "Title",
        "server": "Server",
        "type": "Server type",
        "ssl": "Use SSL",
        "login": "Login",
        "password": "Password",
        "detect": "Detect the recipient",
        "default": "Default mailbox",
        "one": "One mailbox",
        "forward": "Forward to",
        "collect": "Collect",
        "modes": [
            "all messages, delete them from the server",
            "only messages not collected before, delete them from the server",
            "only messages not collected before, leave them on the server",
        ],
        "interval": "Interval",
        "limit": "Collect at most messages per session",
        "more": "More",
        "port": "Port",
        "ca": "File of the CA",
        "save": "Save",
        "check": "Check",
        "succeeded": "The check succeeded",
        "failed": "The check failed",
        "would": "would collect 3 of 3 messages",
        "no login": "Type the login.",
        "theirs": "Take theirs",
        "mine": "Apply mine on top",
    },
    "ru": {
        "title": "Название",
        "server": "Сервер",
        "type": "Тип сервера",
        "ssl": "Использовать SSL",
        "login": "Логин",
        "password": "Пароль",
        "detect": "Автоматически определять получателя",
        "default": "Ящик по умолчанию",
        "one": "Один ящик",
        "forward": "Пересылать на",
        "collect": "Собирать",
        "modes": [
            "все сообщения, удалять сообщения с сервера",
            "только не собранные ранее сообщения, удалять сообщения с сервера",
            "только не собранные ранее сообщения, оставлять сообщения на сервере",
        ],
        "interval": "Интервал",
        "limit": "Собирать не более писем за сессию",
        "more": "Ещё",
        "port": "Порт",
        "ca": "Файл удостоверяющего центра",
        "save": "Сохранить",
        "check": "Проверить",
        "succeeded": "Проверка прошла успешно",
        "failed": "Проверка не прошла",
        "would": "собрала бы писем: 3 из 3",
        "no login": "Введите логин.",
        "theirs": "Взять чужие",
        "mine": "Применить мои поверх",
    },
}

_PATIENCE = 120_000
"""Milliseconds for what a mail server answers."""


@dataclass
class Form:
    """The form in one language, by the names of what is in it."""

    page: Page
    language: str

    def named(self, word: str) -> str:
        name = WORDS[self.language][word]
        assert isinstance(name, str)
        return name

    def field(self, word: str) -> Locator:
        return self.page.get_by_label(self.named(word), exact=True)

    def button(self, word: str) -> Locator:
        return self.page.get_by_role("button", name=self.named(word), exact=True)

    def fill(self, **values: str) -> None:
        for word, text in values.items():
            self.field(word).fill(text)

    def check(self) -> None:
        """Press Check, and wait for its answer, however busy the machine is."""
        with self.page.expect_response("**/form/check?part=1", timeout=_PATIENCE):
            self.button("check").click()

    def open_more(self) -> None:
        self.page.locator("summary", has_text=self.named("more")).click()

    def account(self, stage: Stage, user: str, *, password: str = "") -> None:
        """Fill in a Dovecot account with three messages."""
        dovecot = stage.deployment.dovecot
        self.fill(server="localhost", login=user, password=password or dovecot.password)
        self.open_more()
        self.field("port").fill(str(dovecot.ports["imaps"]))
        self.field("ca").first.fill(str(dovecot.ca_file))


@pytest.fixture
def daemon(empty_stage: Stage) -> Iterator[Daemon]:
    with empty_stage.running() as daemon:
        daemon.ready()
        yield daemon


@pytest.fixture
def mailbox(empty_stage: Stage, user: str) -> str:
    message = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: %d\r\n\r\nHello\r\n"
    empty_stage.deployment.dovecot.deliver(user, [message % number for number in range(3)])
    return user


def form(
    stage: Stage, browser: Browser, language: str, path: str, how: str = "", *, script: bool = True
) -> Form:
    page = stage.log_in(
        browser, language=language, dark=how == "dark", narrow=how == "narrow", script=script
    )
    page.goto(path)
    return Form(page, language)


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.usefixtures("daemon")
def test_a_collector_is_added_checked_and_edited(
    empty_stage: Stage, browser: Browser, mailbox: str, language: str
) -> None:
    here = form(empty_stage, browser, language, "/add")
    expect(here.field("interval")).to_have_value("5m")
    expect(here.page.get_by_role("spinbutton", name=here.named("limit"))).to_have_value("100")
    expect(here.field("ssl")).to_be_checked()
    expect(here.field("type").locator("option")).to_have_text(["POP3", "IMAP"])
    expect(here.field("collect").locator("option")).to_have_text(WORDS[language]["modes"])
    here.fill(title="Отдел продаж", forward="sales@example.net")
    expect(here.field("one")).to_be_checked()
    here.account(empty_stage, mailbox)
    expect(here.page.locator("#preview")).to_contain_text(f"username: {mailbox}")
    expect(here.page.locator("#preview")).to_contain_text("../secrets/otdel-prodazh")

    here.check()
    expect(here.page.get_by_role("heading", name=here.named("succeeded"))).to_be_visible()
    expect(here.page.locator("#check-result")).to_contain_text(here.named("would"))
    assert not (empty_stage.deployment.manifests / "otdel-prodazh.yaml").exists()

    here.button("save").click()
    here.page.wait_for_url(at("/collectors/otdel-prodazh"))
    manifest = empty_stage.deployment.manifests / "otdel-prodazh.yaml"
    assert "title: Отдел продаж\n" in manifest.read_text()
    secret = empty_stage.deployment.root / "secrets" / "otdel-prodazh"
    assert secret.stat().st_mode & 0o777 == 0o600

    manifest.write_text(manifest.read_text().replace("spec:\n", "spec:  # of Anna\n"))
    here.page.goto("/collectors/otdel-prodazh/edit")
    expect(here.field("title")).to_have_value("Отдел продаж")
    expect(here.field("password")).to_have_value("")
    here.fill(interval="7m")
    here.field("collect").select_option(WORDS[language]["modes"][1])
    expect(here.page.locator("#preview .added")).to_have_count(1)
    here.button("save").click()
    here.page.wait_for_url(at("/collectors/otdel-prodazh"))
    written = manifest.read_text()
    assert "spec:  # of Anna\n" in written
    assert "mode: new-delete" in written
    assert "interval: 7m" in written


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.usefixtures("daemon")
def test_errors_stand_at_their_fields_and_the_password_stays(
    empty_stage: Stage, browser: Browser, language: str
) -> None:
    here = form(empty_stage, browser, language, "/add")
    here.fill(title="x", server="127.0.0.1", password="geheim", forward="a@b.example")
    here.button("save").click()
    expect(here.field("login")).to_have_attribute("aria-invalid", "true")
    expect(here.field("login")).to_have_accessible_description(
        re.compile(re.escape(here.named("no login")))
    )
    expect(here.page.get_by_role("alert")).to_be_focused()
    expect(here.field("password")).to_have_value("geheim")
    here.page.get_by_role("alert").get_by_role("link").first.click()
    expect(here.field("login")).to_be_focused()
    here.fill(login="u", interval="often")
    here.button("save").click()
    expect(here.field("interval")).to_have_attribute("aria-invalid", "true")
    here.fill(interval="5m")
    here.button("save").click()
    here.page.wait_for_url(at("/collectors/x"))


@pytest.mark.usefixtures("daemon")
def test_a_check_that_fails_says_at_which_step(
    empty_stage: Stage, browser: Browser, mailbox: str
) -> None:
    here = form(empty_stage, browser, "en", "/add")
    here.fill(title="x", forward="a@example.net")
    here.account(empty_stage, mailbox, password="wrong-one")
    here.check()
    expect(here.page.get_by_role("heading", name=here.named("failed"))).to_be_visible()
    expect(here.page.locator(".steps .bad")).to_contain_text("log in and list")
    assert "wrong-one" not in here.page.content()


@pytest.mark.usefixtures("daemon")
def test_the_server_of_a_known_address_is_filled_in(empty_stage: Stage, browser: Browser) -> None:
    here = form(empty_stage, browser, "en", "/add")
    here.fill(login="anna@gmail.com")
    expect(here.field("server")).to_have_value("imap.gmail.com")
    expect(here.page.locator("#provider-advice")).to_contain_text("wants an app password")
    here.fill(login="anna@example.org")
    expect(here.field("server")).to_have_value("")
    here.fill(server="mail.example.org", login="anna@yandex.ru")
    expect(here.page.locator("#provider-advice")).to_contain_text("Yandex")
    expect(here.field("server")).to_have_value("mail.example.org")


@pytest.mark.usefixtures("daemon")
def test_typing_into_a_recipient_chooses_it(empty_stage: Stage, browser: Browser) -> None:
    here = form(empty_stage, browser, "en", "/add")
    here.fill(login="u@почта.рф", default="info@икс.рф")
    expect(here.field("detect")).to_be_checked()
    expect(here.page.locator("#preview")).to_contain_text("from: [почта.рф]")
    expect(here.page.locator("#preview")).to_contain_text("to: икс.рф")
    here.fill(forward="a@икс.рф")
    expect(here.field("one")).to_be_checked()
    expect(here.page.locator("#preview")).to_contain_text("forwardTo: a@икс.рф")


@pytest.mark.parametrize("choice", ["mine", "theirs"])
@pytest.mark.usefixtures("daemon")
def test_somebody_elses_change_is_shown(
    empty_stage: Stage, browser: Browser, user: str, choice: str
) -> None:
    path = empty_stage.deployment.declare("sales", user, interval="1h")
    here = form(empty_stage, browser, "en", "/collectors/sales/edit")
    here.fill(title="Mine")
    path.write_text(path.read_text().replace("1h", "2h"))
    here.button("save").click()
    expect(here.page.locator(".diff .added")).to_contain_text("2h")
    expect(here.field("title")).to_have_value("Mine")
    if choice == "mine":
        here.button("mine").click()
        here.page.wait_for_url(at("/collectors/sales"))
        assert "title: Mine" in path.read_text()
    else:
        here.page.get_by_role("link", name=here.named("theirs")).click()
        expect(here.field("title")).to_have_value("")
        assert "Mine" not in path.read_text()
    assert "interval: 2h" in path.read_text()


def test_a_session_that_is_over_and_a_daemon_that_is_gone_lose_nothing(
    empty_stage: Stage, browser: Browser, user: str
) -> None:
    path = empty_stage.deployment.declare("sales", user, interval="1h")
    with empty_stage.running() as daemon:
        daemon.ready()
        here = form(empty_stage, browser, "en", "/collectors/sales/edit")
        here.fill(title="Mine")
        (cookie,) = here.page.context.cookies()
        here.page.context.clear_cookies()
        here.button("save").click()
        expect(here.page.get_by_role("alert")).to_contain_text("Your session is over")
        expect(here.field("title")).to_have_value("Mine")
        here.page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "url": empty_stage.url}]
        )
        daemon.stop()
        here.button("save").click()
        expect(here.page.get_by_role("alert")).to_contain_text("does not answer")
    with empty_stage.running() as daemon:
        daemon.ready()
        here.button("save").click()
        here.page.wait_for_url(at("/collectors/sales"))
    assert "title: Mine" in path.read_text()


@pytest.mark.usefixtures("daemon")
def test_without_scripts_the_form_works(empty_stage: Stage, browser: Browser, mailbox: str) -> None:
    here = form(empty_stage, browser, "ru", "/add", script=False)
    here.button("save").click()
    expect(here.field("login")).to_have_attribute("aria-invalid", "true")
    here.fill(title="plain", forward="a@example.net")
    here.account(empty_stage, mailbox)
    here.button("check").click()
    expect(here.page.get_by_role("heading", name=here.named("succeeded"))).to_be_visible()
    here.fill(password=empty_stage.deployment.dovecot.password)
    here.button("save").click()
    here.page.wait_for_url(at("/collectors/plain"))
