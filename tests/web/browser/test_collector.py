"""A collector's page, the manifests' and the service's in a real browser: every action by its
accessible name in both languages, live progress, pausing, held removals, a mailbox's owner."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from reconciler.web.access.roles import Role
from tests.web.browser.stage import Stage, at

WORDS = {
    "en": {
        "collect": "Collect",
        "check": "Check",
        "edit": "Edit",
        "enable": "Enable",
        "disable": "Disable",
        "clear": "Clear",
        "delete": "Delete",
        "again": "Try again",
        "explain": "Explain message",
        "header": "Header",
        "pause": "Pause all",
        "resume": "Resume",
        "paused": "paused",
        "disabled": "disabled",
        "well": "All is well.",
        "confirm": "Confirm the removal",
    },
    "ru": {
        "collect": "Собрать",
        "check": "Проверить",
        "edit": "Редактировать",
        "enable": "Включить",
        "disable": "Выключить",
        "clear": "Очистить",
        "delete": "Удалить",
        "again": "Попробовать снова",
        "explain": "Пояснить письмо",
        "header": "Заголовок",
        "pause": "Приостановить всё",
        "resume": "Продолжить",
        "paused": "пауза",
        "disabled": "выключен",
        "well": "Всё в порядке.",
        "confirm": "Подтвердить удаление",
    },
}


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize(("language", "script"), [("en", True), ("ru", False)])
def test_every_action_of_a_collector(
    stage: Stage, browser: Browser, language: str, script: bool
) -> None:
    words = WORDS[language]
    page = stage.log_in(browser, language=language, script=script)
    page.goto("/collectors/sales")
    expect(page.get_by_role("heading", level=1)).to_have_text("Почта отдела продаж")
    for word in ("collect", "check", "edit", "disable", "clear", "delete"):
        expect(page.get_by_role("button", name=words[word], exact=True)).to_have_count(1)

    press(page, words["check"])
    expect(page.get_by_text(words["well"])).to_be_visible()

    page.goto("/collectors/sales")
    stage.deployment.dovecot.deliver(
        _user(stage, "sales"), [b"From: a@b.example\r\nSubject: new\r\n\r\nnew\r\n"]
    )
    before = len(stage.deployment.mail("sales"))
    press(page, words["collect"])
    expect(page.locator("#progress" if script else ".notice").first).to_be_visible()
    page.wait_for_timeout(100)
    _until(page, lambda: len(stage.deployment.mail("sales")) == before + 1)

    page.goto("/collectors/sales")
    press(page, words["disable"])
    expect(page.locator("#live .state").first).to_have_text(words["disabled"])
    manifest = stage.deployment.manifests / "sales.yaml"
    assert "enabled: false" in manifest.read_text()
    press(page, words["enable"])
    expect(page.get_by_role("button", name=words["disable"], exact=True)).to_be_visible()

    press(page, words["clear"])
    expect(page.get_by_role("heading", level=1)).to_contain_text("sales")
    press(page, words["clear"])
    page.wait_for_url(at("/collectors/sales"))

    press(page, words["edit"])
    page.wait_for_url("**/collectors/sales/edit**")
    page.goto("/collectors/sales")
    press(page, words["delete"])
    press(page, words["delete"])
    page.wait_for_url(at("/"))
    assert not manifest.exists()


@pytest.mark.parametrize("language", WORDS)
def test_parked_messages_are_explained(
    shared_stage: Stage, browser: Browser, language: str
) -> None:
    words, stage = WORDS[language], shared_stage
    page = stage.log_in(browser, language=language)
    page.goto("/collectors/lost")
    page.get_by_role("button", name=words["explain"]).first.click()
    expect(page.get_by_role("columnheader", name=words["header"], exact=True)).to_be_visible()
    expect(page.locator("main")).to_contain_text("To")
    expect(page.locator("main")).to_contain_text("remote.example")


@pytest.mark.parametrize("language", WORDS)
def test_parked_messages_are_tried_again(stage: Stage, browser: Browser, language: str) -> None:
    page = stage.log_in(browser, language=language)
    page.goto("/collectors/lost")
    press(page, WORDS[language]["again"])
    expect(page.locator(".notice").first).to_contain_text("4")


@pytest.mark.parametrize("language", WORDS)
def test_the_service_is_paused_and_goes_on(
    shared_stage: Stage, browser: Browser, language: str
) -> None:
    words, stage = WORDS[language], shared_stage
    page = stage.log_in(browser, Role.OPERATE, language=language)
    page.goto("/service")
    page.locator("#reason").fill("the <b>server</b> moves")
    press(page, words["pause"])
    expect(page.locator("main .state.paused").first).to_have_text(words["paused"])
    expect(page.locator("q")).to_have_text("the <b>server</b> moves")
    page.goto("/collectors/sales")
    expect(page.locator("#live .state").first).to_have_text(words["paused"])

    page.goto("/service")
    press(page, words["resume"])
    expect(page.get_by_role("button", name=words["pause"], exact=True)).to_be_visible()
    page.goto("/collectors/sales")
    expect(page.locator("#live .state").first).not_to_have_text(words["paused"])


@pytest.mark.parametrize("language", WORDS)
def test_manifests_show_what_is_wrong_and_removals_are_confirmed(
    stage: Stage, browser: Browser, language: str
) -> None:
    words = WORDS[language]
    page = stage.log_in(browser, language=language)
    page.goto("/manifests")
    expect(page.locator(".diagnostics")).to_contain_text("intervall")
    for path in stage.deployment.manifests.glob("*.yaml"):
        if path.stem != "destination":
            path.unlink()

    def held() -> bool:
        page.goto("/manifests")
        return page.get_by_role("button", name=words["confirm"], exact=True).count() == 1

    _until(page, held)
    press(page, words["confirm"])
    page.wait_for_url(at("/manifests"))
    expect(page.get_by_role("button", name=words["confirm"], exact=True)).to_have_count(0)
    _until(page, lambda: not stage.deployment.get())


def _user(stage: Stage, name: str) -> str:
    text = (stage.deployment.manifests / f"{name}.yaml").read_text()
    return text.partition("username: ")[2].splitlines()[0]


def _until(page: Page, found: Callable[[], bool]) -> None:
    for _ in range(300):
        if found():
            return
        page.wait_for_timeout(100)
    raise AssertionError("never seen")


def test_the_focus_stays_while_the_page_is_drawn_anew(
    shared_stage: Stage, browser: Browser
) -> None:
    page = shared_stage.log_in(browser)
    page.goto("/collectors/sales")
    summary = page.locator("#sessions-table summary")
    summary.focus()
    drawn = page.locator("#live").evaluate_handle("(live) => live.firstElementChild")
    shared_stage.deployment.write(
        "sales",
        (shared_stage.deployment.manifests / "sales.yaml").read_text().replace("1h", "2h"),
    )
    page.wait_for_function("(old) => !old.isConnected", arg=drawn)
    expect(summary).to_be_focused()
