"""Every action of the list and the form in a real browser, by the names of the contract, with a
real mail server: what the page says happens to the mail."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.web.browser.stage import Stage, at
from tests.web.browser.words import MODES, WORDS

Words = dict[str, str]
PATIENCE = 60.0


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.05)


def button(within: Page | Locator, name: str) -> Locator:
    return within.get_by_role("button", name=name, exact=True)


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def sessions(deployment: Deployment) -> int:
    """The number of sessions of shop that have ended."""
    return int(deployment.get("shop")["shop"]["status"]["totals"]["sessions"])


def letters(user: str, count: int) -> list[bytes]:
    return [
        f"From: a@b.example\r\nTo: {user}\r\nSubject: {at}\r\n\r\nHello {at}\r\n".encode()
        for at in range(count)
    ]


def fill_in(page: Page, words: Words, dovecot: Dovecot, user: str, protocol: str) -> None:
    """Fill in the form's fields in their order; at the end what a private server needs besides."""

    def text(name: str, value: str) -> None:
        page.get_by_role("textbox", name=words[name], exact=True).fill(value)

    text("title", "Shop")
    text("server", "localhost")
    page.get_by_role("combobox", name=words["server type"]).select_option(label=protocol)
    expect(page.get_by_role("checkbox", name=words["ssl"])).to_be_checked()
    text("login", user)
    page.get_by_label(words["password"], exact=True).fill(dovecot.password)
    page.get_by_role("radio", name=words["one mailbox"]).check()
    text("forward to", "shop@example.net")
    mode = page.get_by_role("combobox", name=words["mode"], exact=True)
    expect(mode.get_by_role("option")).to_have_text(MODES["ru" if words["add"][0] > "z" else "en"])
    mode.select_option(index=2)
    expect(page.get_by_role("textbox", name=words["interval"])).to_have_value("5m")
    text("interval", "1h")
    limit = page.get_by_role("spinbutton", name=words["limit"])
    expect(limit).to_have_value("100")
    expect(page.get_by_label(words["limit"])).to_have_value("100")
    limit.fill("50")
    page.get_by_text(words["more"], exact=True).click()
    page.locator('[name="spec.source.port"]').fill(str(dovecot.ports[f"{protocol.lower()}s"]))
    page.locator('[name="spec.source.caFile"]').fill(str(dovecot.ca_file))


@pytest.mark.parametrize(
    ("language", "protocol", "script"),
    [("en", "IMAP", True), ("ru", "POP3", True), ("ru", "IMAP", False)],
)
def test_a_collector_from_its_form_to_its_end(
    empty_stage: Stage, browser: Browser, user: str, language: str, protocol: str, script: bool
) -> None:
    words, deployment = WORDS[language], empty_stage.deployment
    dovecot = deployment.dovecot
    dovecot.deliver(user, letters(user, 3))
    with empty_stage.running():
        page = empty_stage.log_in(browser, language=language, script=script)

        button(page, words["add"]).click()
        fill_in(page, words, dovecot, user, protocol)
        button(page, words["check"]).click()
        checked = page.locator("#check-result")
        expect(checked.get_by_role("heading")).to_be_visible()
        expect(checked).to_contain_text("3")
        if not script:  # a page never holds the password, so it is typed again
            page.get_by_label(words["password"], exact=True).fill(dovecot.password)
        button(page, words["save"]).click()

        page.wait_for_url("**/collectors/shop*")
        until(lambda: len(deployment.mail("shop")) == 3)
        manifest = (deployment.manifests / "shop.yaml").read_text()
        assert dovecot.password not in manifest
        assert dovecot.password not in page.content()
        assert (deployment.root / "secrets" / "shop").stat().st_mode & 0o777 == 0o600

        page.goto("/")
        page.get_by_role("searchbox", name=words["search"]).fill("nobody")
        page.keyboard.press("Enter")
        expect(row(page, "shop")).to_have_count(0)
        page.goto("/?search=shop")

        row(page, "shop").get_by_role("checkbox").check()
        button(page, words["disable"]).click()
        expect(row(page, "shop")).to_contain_text(words["disabled"])
        before = sessions(deployment)
        row(page, "shop").get_by_role("checkbox").check()
        button(page, words["enable"]).click()
        expect(row(page, "shop")).not_to_contain_text(words["disabled"])
        # a click during the session that begins now would ask for that one
        until(lambda: sessions(deployment) > before)

        dovecot.deliver(user, letters("new", 1))
        button(row(page, "shop"), words["collect"]).click()
        until(lambda: len(deployment.mail("shop")) == 4)

        button(row(page, "shop"), words["edit"]).click()
        page.get_by_role("textbox", name=words["title"], exact=True).fill("Laden")
        button(page, words["save"]).click()
        page.wait_for_url("**/collectors/shop*")
        assert "Laden" in (deployment.manifests / "shop.yaml").read_text()
        expect(page.get_by_role("heading", level=1)).to_have_text("Laden")

        button(page, words["clear"]).click()
        page.wait_for_url("**/collectors/shop/clear*")
        expect(page.get_by_role("main")).to_contain_text("4")
        button(page, words["clear"]).click()
        page.wait_for_url("**/collectors/shop*")
        button(page, words["collect"]).click()
        until(lambda: len(deployment.mail("shop")) == 8)

        button(page, words["delete"]).click()
        page.wait_for_url("**/collectors/shop/delete*")
        button(page, words["delete"]).click()
        page.wait_for_url(at("/"))
        expect(row(page, "shop")).to_have_count(0)
        assert not (deployment.manifests / "shop.yaml").exists()
