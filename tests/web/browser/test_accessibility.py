"""What every page owes its readers: axe finds nothing, and it is no wider than the screen; in both
languages, light and dark, wide and narrow. The pages are of one daemon."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.web.browser.stage import Stage

PAGES = (
    "/",
    "/?limit=5",
    "/?search=nobody",
    "/add",
    "/collectors/sales",
    "/collectors/sales/edit",
    "/collectors/legal/dialogue",
    "/collectors/lost",
    "/collectors/berlin",
    "/collectors/legal",
    "/collectors/typo",
    "/collectors/sales/delete",
    "/collectors/sales/clear",
    "/manifests",
    "/service",
    "/login",
    "/consent/owner/not-a-link",
    "/nowhere",
)

_WIDE = """() => [...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.outerHTML.slice(0, 120))"""


def save_mistakes(page: Page) -> None:
    """The form with errors."""
    page.goto("/add")
    page.locator('[name="spec.source.username"]').fill("anna@gmail.com")
    page.locator("#collector .actions button.main").click()
    page.locator("#problems").wait_for()


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
    page = shared_stage.log_in(browser, language=language, dark=dark, narrow=narrow)
    found = {}
    for path in PAGES:
        page.goto(path)
        found[path] = faults(page)
    for visit in VISITS:
        visit(page)
        found[visit.__name__] = faults(page)
    assert {where: told for where, told in found.items() if told} == {}


def faults(page: Page) -> list[str]:
    """What axe finds with everything unfolded, and how much the page is too wide."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    told = [
        f"{one['id']}: {node['target']}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
    ]
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if width > 0:
        wide = page.evaluate(_WIDE)
        return [*told, f"{width} pixels too wide: {wide}"]
    return told
