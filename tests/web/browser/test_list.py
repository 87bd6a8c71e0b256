"""The list page in a real browser: actions by their accessible names, in both languages; search as
one types, changes as they happen, and what the page says when the daemon dies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from reconciler.web.access.roles import Role
from tests.web.browser.stage import Stage

WORDS = {
    "en": {
        "add": "Add",
        "enable": "Enable",
        "disable": "Disable",
        "search": "Search",
        "edit": "Edit",
        "delete": "Delete",
        "clear": "Clear",
        "collect": "Collect",
        "disabled": "disabled",
        "ready": "ready",
    },
    "ru": {
        "add": "Добавить",
        "enable": "Включить",
        "disable": "Выключить",
        "search": "Поиск",
        "edit": "Редактировать",
        "delete": "Удалить",
        "clear": "Очистить",
        "collect": "Собрать",
        "disabled": "выключен",
        "ready": "работает",
    },
}
T = TypeVar("T")


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def until(look: Callable[[], T | None], patience: float = 30) -> T:
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("language", WORDS)
def test_every_action_of_the_list(stage: Stage, browser: Browser, language: str) -> None:
    words, mail = WORDS[language], stage.deployment
    page = stage.log_in(browser, language=language)

    def button(name: str, within: Page | Locator = page) -> Locator:
        return within.get_by_role("button", name=words[name], exact=True)

    for one in ("add", "enable", "disable"):
        expect(button(one)).to_have_count(1)
    expect(row(page, "sales")).to_contain_text(words["ready"])

    row(page, "sales").get_by_role("checkbox").check()
    row(page, "press").get_by_role("checkbox").check()
    button("disable").click()
    for name in ("sales", "press"):
        expect(row(page, name).locator(".state")).to_have_text(words["disabled"])
        assert "enabled: false" in (mail.manifests / f"{name}.yaml").read_text()
    row(page, "sales").get_by_role("checkbox").check()
    button("enable").click()
    expect(row(page, "sales").locator(".state")).not_to_have_text(words["disabled"])

    mail.dovecot.deliver(_user(stage, "accounts"), [b"Subject: new\r\n\r\nhi\r\n"])
    before = len(mail.mail("accounts"))
    button("collect", row(page, "accounts")).click()
    until(lambda: len(mail.mail("accounts")) == before + 1)
    expect(page.get_by_role("status").filter(has_text="accounts")).to_contain_text("1")

    button("clear", row(page, "accounts")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("accounts")
    button("clear").click()
    page.wait_for_url(f"{stage.url}/**")
    expect(row(page, "accounts")).to_be_visible()

    button("delete", row(page, "press")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("press")
    button("delete").click()
    expect(row(page, "sales")).to_be_visible()
    expect(row(page, "press")).to_have_count(0)
    assert not (mail.manifests / "press.yaml").exists()

    button("edit", row(page, "sales")).click()
    page.wait_for_url("**/collectors/sales/edit**")
    page.goto("/")
    button("add").click()
    page.wait_for_url("**/add**")


def _user(stage: Stage, name: str) -> str:
    found = re.search(r"username: (\S+)", (stage.deployment.manifests / f"{name}.yaml").read_text())
    assert found
    return found[1]


def test_search_as_one_types_and_go_back(shared_stage: Stage, browser: Browser) -> None:
    stage = shared_stage
    page = stage.log_in(browser)
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search")
    expect(search).to_be_focused()
    search.press_sequentially("отдела", delay=20)
    expect(page.locator("tr[data-name]")).to_have_count(1)
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile("search="))
    page.go_back()
    expect(search).to_have_value("")
    expect(page.locator("tr[data-name]")).to_have_count(13)
    page.get_by_role("link", name=re.compile("^stalled")).click()
    expect(page.locator("tr[data-name]")).to_have_count(2)
    page.get_by_role("link", name="Server").click()
    expect(page.get_by_role("columnheader", name="Server")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.reload()
    expect(page.locator("tr[data-name]")).to_have_count(2)


def test_a_narrower_search_with_the_same_first_rows_acts_on_what_it_shows(
    shared_stage: Stage, browser: Browser
) -> None:
    page = shared_stage.log_in(browser)
    page.goto("/?limit=2")
    matching = page.locator("#all-matching")
    assert matching.get_attribute("data-count") == "13"
    rows = page.locator("tr[data-name]")
    before = rows.all_text_contents()
    page.get_by_role("searchbox", name="Search").fill("a")
    expect(page.locator("#many [name=back]")).to_have_value("/?search=a")
    assert [text[:20] for text in rows.all_text_contents()] == [text[:20] for text in before]
    total = (page.locator("#total").text_content() or "").split()[0]
    expect(matching).to_have_attribute("data-count", total)


def test_half_a_condition_on_labels_is_no_lost_connection(
    shared_stage: Stage, browser: Browser
) -> None:
    page = shared_stage.log_in(browser)
    label = page.get_by_label("Label", exact=True)
    label.fill("team in (sal")
    expect(label).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#label-wrong")).to_be_visible()
    expect(page.locator("#connection")).to_be_hidden()
    label.fill("team=sales")
    expect(page.locator("#label-wrong")).to_be_hidden()
    expect(row(page, "press")).to_have_count(0)
    expect(row(page, "sales")).to_have_count(1)


def test_without_javascript_all_of_it_works(stage: Stage, browser: Browser) -> None:
    page = stage.log_in(browser, language="ru", script=False)
    page.get_by_role("searchbox", name="Поиск").fill("sales")
    page.get_by_role("button", name="Отобрать").click()
    expect(page.locator("tr[data-name]")).to_have_count(1)
    row(page, "sales").get_by_role("checkbox").check()
    page.get_by_role("button", name="Выключить", exact=True).click()
    expect(page.get_by_text("1 сборщик выключен.")).to_be_visible()
    expect(page).to_have_url(re.compile("search=sales"))
    row(page, "sales").get_by_role("button", name="Собрать").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Сейчас это невозможно")


def test_changes_appear_by_themselves_in_every_tab(stage: Stage, browser: Browser) -> None:
    page = stage.log_in(browser)
    tabs = [page, *(page.context.new_page() for _ in range(7))]
    for tab in tabs[1:]:
        tab.goto(f"{stage.url}/")
    path = stage.deployment.manifests / "sales.yaml"
    changed = path.read_text().replace("spec:", "spec:\n  enabled: false", 1)
    stage.deployment.write("sales", changed)
    stage.deployment.declare("brand-new", _user(stage, "sales"), interval="1h")
    for tab in tabs:
        tab.bring_to_front()
        expect(row(tab, "sales").locator(".state")).to_have_text("disabled", timeout=30_000)
        expect(row(tab, "brand-new")).to_be_visible(timeout=30_000)


def test_selection_and_focus_outlive_a_change(shared_stage: Stage, browser: Browser) -> None:
    stage = shared_stage
    page = stage.log_in(browser)
    box = row(page, "sales").get_by_role("checkbox")
    box.check()
    path = stage.deployment.manifests / "sales.yaml"
    stage.deployment.write("sales", path.read_text().replace("продаж", "закупок"))
    expect(row(page, "sales")).to_contain_text("закупок", timeout=30_000)
    expect(box).to_be_checked()
    expect(box).to_be_focused()


def test_a_daemon_that_dies_is_told_and_forgotten_when_it_is_back(
    empty_stage: Stage, browser: Browser, user: str
) -> None:
    stage = empty_stage
    stage.deployment.declare("sales", user, interval="1h")
    with stage.running() as daemon:
        page = stage.log_in(browser)
        expect(row(page, "sales")).to_be_visible()
        other = page.context.new_page()
        other.goto("/collectors/sales")
        daemon.stop()
        told = re.compile(r"The connection is lost. This is as of \d")
        lost = page.get_by_text(told)
        for tab in (page, other):
            expect(tab.get_by_text(told)).to_be_visible(timeout=30_000)
    stage.deployment.declare("other", user, interval="1h")
    with stage.running():
        expect(lost).to_be_hidden(timeout=30_000)
        expect(other.get_by_text(told)).to_be_hidden(timeout=30_000)
        expect(row(page, "other")).to_be_visible(timeout=30_000)


def test_a_revoked_token_leads_to_the_login(shared_stage: Stage, browser: Browser) -> None:
    stage = shared_stage
    page = stage.log_in(browser, Role.VIEW)
    expect(row(page, "sales")).to_be_visible()
    stage.revoke(Role.VIEW)
    path = stage.deployment.manifests / "sales.yaml"
    stage.deployment.write("sales", path.read_text().replace("продаж", "закупок"))
    page.wait_for_url("**/login?next=**", timeout=60_000)
