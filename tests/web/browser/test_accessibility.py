"""What every page owes its readers: axe finds nothing, it is no wider than the screen, and it
speaks their language; in both languages, light and dark, wide and narrow. The pages are of one
daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.web.browser.english_left import english_left
from tests.web.browser.stage import Stage

PAGES = (
    "/",
    "/?search=nobody",
    "/add",
    "/collectors/sales",
    "/collectors/sales/edit",
    "/collectors/legal/dialogue",
    "/collectors/lost",
    "/collectors/berlin",
    "/collectors/legal",
    "/collectors/typo",
    "/collectors/consented",
    "/collectors/sales/delete",
    "/manifests",
    "/service",
    "/login",
    "/consent/owner/not-a-link",
    "/consent/done",
    "/nowhere",
)

WRONG = {
    "wrong": """\
spec:
  source: {protocol: pop3, host: 'a b', port: '993', username: x, password: hunter2, folders: [A]}
  collect: {interval: 5, mode: keep, limit: -1, push: true}
  recipient: {forwardTo: x, detect: {from: [a], to: b}}
""",
    "open": "spec: [1\nb: 2\n",
    "tab": "spec:\n\tb: 1\n",
    "twice": "spec: 5\nspec: 6\nsources: x\n",
    "plain": """\
spec:
  source: {protocol: imap, host: mx.example.org, tls: none, username: x, password: {env: P}}
  recipient: {detect: {from: [a.example], to: b.example, default: me@a.example}}
""",
}
"""Manifests of collectors in which much is wrong."""
CONSENTED = """\
spec:
  source:
    provider: google
    username: ann@gmail.com
    oauth2: {provider: google, clientId: x.example, refreshToken: {file: ./nowhere}}
  recipient: {forwardTo: ann@example.net}
"""
FOREIGN = re.compile(
    r"\[AUTHENTICATIONFAILED\] Authentication failed"
    r"|^(?:team: sales|sales: ivanov)$"
    r"|^[a-z-]+: (?:NetEase enterprise|Alibaba Cloud) mail$"
    r"|^(?:· )?(?:IMAP|POP3) [\w.-]+ · "
    r"|mailcollector token create|apiVersion, kind"
)
"""What servers say, examples of YAML, names of products, accounts and commands."""

NARROWEST = 320
"""The width of a page of 1280 pixels at a zoom of 400 % (WCAG 2.2, 1.4.10)."""
_WIDE = """() => [...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.outerHTML.slice(0, 120))"""


def save_mistakes(page: Page) -> None:
    """The form with errors."""
    page.goto("/add")
    page.locator('[name="spec.source.username"]').fill("anna@gmail.com")
    page.locator("#collector .actions button.main").click()
    page.locator("#problems").wait_for()


def declare_more(stage: Stage) -> None:
    """Manifests with mistakes, and a collector that logs in by consent."""
    for name, text in {**WRONG, "consented": CONSENTED.replace("google", "gmail", 1)}.items():
        head = f"apiVersion: mailcollector/v1\nkind: MailCollector\nmetadata: {{name: {name}}}\n"
        stage.deployment.write(name, head + text)


def read_again(page: Page) -> None:
    """The manifests, with what was found in them."""
    page.goto("/manifests")
    page.locator("form[action='/manifests/reload'] button").click()
    page.locator(".diagnostics li").nth(8).wait_for()


def refuse(page: Page) -> None:
    """An action that is not possible any more."""
    page.goto("/manifests")
    page.evaluate(
        "document.querySelector('form[action=\"/manifests/reload\"]').action = '/manifests/confirm'"
    )
    page.locator("form[action='/manifests/confirm'] button").click()
    page.locator("[data-error]").wait_for()


def pause(page: Page) -> None:
    """The service while it is paused."""
    page.goto("/service")
    page.locator("form[action='/service/pause'] button").click()
    page.locator("form[action='/service/resume'] button").wait_for()


def be_paused(page: Page) -> None:
    """The list while the service is paused."""
    page.goto("/")


def resume(page: Page) -> None:
    page.locator("form[action='/service/resume'] button").first.click()
    page.wait_for_load_state()


def connect(page: Page) -> None:
    """Where consent is asked for."""
    page.goto("/collectors/consented")
    page.locator("form[action$='/connect'] button").click()
    page.locator("a.main[rel=noreferrer]").wait_for()


def refuse_consent(page: Page) -> None:
    """The owner comes back without having consented."""
    connect(page)
    asked = page.locator("a.main[rel=noreferrer]").get_attribute("href") or ""
    state = parse_qs(urlsplit(asked).query)["state"][0]
    page.goto(f"/consent/return?state={state}&error=access_denied")
    page.locator("[role=alert]").wait_for()


def enter_a_wrong_password(page: Page) -> None:
    """The owner sends no password."""
    follow_an_owners_link(page)
    page.evaluate("document.forms[document.forms.length - 1].noValidate = true")
    page.locator("form[action='/consent/owner'] button").click()
    page.locator("#wrong").wait_for()


def ask_for_all(page: Page) -> None:
    """The confirmation of what is done to all that match, on other pages too."""
    page.goto("/?limit=5")
    page.locator("#select-all").check()
    page.locator("#all-matching").check()
    page.locator("#more-actions").select_option("clear")
    page.locator("#many button[value=other]").click()
    page.locator(".confirm").wait_for()


def explain(page: Page) -> None:
    """Why a message is parked."""
    page.goto("/collectors/lost")
    page.locator("#live table button.quiet, #live table a.button").first.click()
    page.locator("main table").first.wait_for()


def ask_for_many(page: Page) -> None:
    """The confirmation of what is done to several."""
    page.goto("/")
    for name in ("sales", "press"):
        page.locator(f"#row-{name} input").check()
    page.locator("#more-actions").select_option("delete")
    page.locator("#many button[value=other]").click()
    page.locator(".confirm").wait_for()


def make_an_owners_link(page: Page) -> None:
    """The link for the owner of a mailbox."""
    page.goto("/collectors/sales")
    page.locator("form[action$='/owner-link'] button").click()
    page.locator("main code, main input").first.wait_for()


def follow_an_owners_link(page: Page) -> None:
    """What the owner sees: without being logged in, but that makes no difference to the page."""
    make_an_owners_link(page)
    found = page.locator("main").inner_html()
    page.goto("/consent/owner/" + found.partition("/consent/owner/")[2].split('"')[0].split("<")[0])
    page.locator("form[action='/consent/owner']").wait_for()


def check(page: Page) -> None:
    """The steps of a check, in the page."""
    page.goto("/collectors/legal")
    page.locator("form[action$='/check'] button").click()
    page.locator("#checked .steps").wait_for()


VISITS: tuple[Callable[[Page], None], ...] = (
    read_again,
    refuse,
    pause,
    be_paused,
    resume,
    connect,
    refuse_consent,
    enter_a_wrong_password,
    ask_for_all,
    save_mistakes,
    explain,
    ask_for_many,
    make_an_owners_link,
    follow_an_owners_link,
    check,
)


@pytest.mark.parametrize(("language", "dark", "narrow"), [("en", False, False), ("ru", True, True)])
def test_every_page_is_accessible_and_no_wider_than_the_screen(
    shared_stage: Stage, browser: Browser, language: str, dark: bool, narrow: bool
) -> None:
    declare_more(shared_stage)
    page = shared_stage.log_in(browser, language=language, dark=dark, narrow=narrow)
    found = {}
    for path in PAGES:
        page.goto(path)
        found[path] = faults(page) + english(page, language)
    for visit in VISITS:
        visit(page)
        found[visit.__name__] = faults(page) + english(page, language)
    assert {where: told for where, told in found.items() if told} == {}


def english(page: Page, language: str) -> list[str]:
    """English that is left on a page in another language."""
    return [text for text in english_left(page) if language != "en" and not FOREIGN.search(text)]


def faults(page: Page) -> list[str]:
    """What axe finds with everything unfolded, and how much the page is too wide."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    told = [
        f"{one['id']}: {node['target']}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
    ]
    size = page.viewport_size
    assert size is not None
    for width in {size["width"], min(size["width"], NARROWEST)}:
        page.set_viewport_size({"width": width, "height": size["height"]})
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if excess > 0:
            told.append(f"{excess} pixels wider than {width}: {page.evaluate(_WIDE)}")
    page.set_viewport_size(size)
    return told
