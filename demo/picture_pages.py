"""The pages that pictures are taken of, and what is done to each one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from demo.picture_corners import LONG

Prepare = Callable[[Page], None]


def _nothing(_page: Page) -> None:
    """Leave the page as it is."""


def _fill_in(page: Page) -> None:
    for name, value in {
        "spec.title": "Returns",
        "spec.source.host": "imap.example.org",
        "spec.source.username": "returns@example.org",
        "spec.recipient.forwardTo": "returns@office.example",
    }.items():
        page.locator(f'[name="{name}"]').fill(value)
    page.locator('[name="password"]').fill("anything")
    page.locator("#preview pre").wait_for()


def _show_more(page: Page) -> None:
    page.locator('[name="spec.source.username"]').fill("anna@gmail.com")
    page.locator("#provider-advice p").first.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def _make_mistakes(page: Page) -> None:
    page.locator('[name="spec.title"]').fill("Returns")
    page.locator('[name="spec.collect.interval"]').fill("2s")
    page.locator("#collector .actions button.main").click()
    page.locator("#problems").wait_for()


def _check_the_form(page: Page) -> None:
    page.locator("#collector [data-check]").click()
    page.locator("#check-result .steps").wait_for()


def _check(page: Page) -> None:
    page.locator("[data-check]").click()
    page.locator("#checked .steps").wait_for()


def _be_too_late(page: Page) -> None:
    """Save after somebody else did."""
    other = page.context.new_page()
    other.goto(page.url)
    most = other.locator('[name="spec.collect.limit"]')
    most.fill(str(int(most.input_value()) + 50))
    other.locator("#collector .actions button.main").click()
    other.wait_for_url("**/collectors/support*")
    other.close()
    page.locator('[name="spec.collect.interval"]').fill("15m")
    page.locator("#collector .actions button.main").click()
    page.locator("#conflict-heading").wait_for()


def _save(page: Page) -> None:
    page.locator('[name="spec.collect.interval"]').fill("15m")
    page.locator("#collector .actions button.main").click()
    page.locator("#manifest-text").wait_for()


def _mistake_the_token(page: Page) -> None:
    page.locator("#token").fill("mct_no-such-token")
    page.locator("main form button").click()
    page.locator("#wrong").wait_for()


def _explain(page: Page) -> None:
    page.locator("#live form[action$='/explain'] button").first.click()
    page.locator("#explained-heading").wait_for()


def _ask_for_two(page: Page) -> None:
    for name in ("orders", "sales"):
        page.locator(f"#row-{name} input").check()
    page.locator("#more-actions").select_option("delete")
    page.locator("#many button[value=other]").click()
    page.locator(".confirm").wait_for()


def _select_two(page: Page) -> None:
    for name in ("orders", "sales"):
        page.locator(f"#row-{name} input").check()


def _make_a_link(page: Page) -> None:
    page.locator("form[action$='/owner-link'] button").click()
    page.locator("#owner-link").wait_for()


def _follow_the_link(page: Page) -> None:
    _make_a_link(page)
    link = page.locator("#owner-link").input_value()
    page.context.clear_cookies()
    page.goto(link)


def _connect(page: Page) -> None:
    page.locator("form[action$='/connect'] button").click()
    page.locator(".confirm").wait_for()


@dataclass(frozen=True)
class Picture:
    """A page, and what is done to it before the picture is taken. Nobody is logged in where it is
    `anonymous`."""

    name: str
    path: str
    prepare: Prepare = _nothing
    anonymous: bool = False


EVERY_DAY = (
    Picture("list", "/"),
    Picture("list-selected", "/", _select_two),
    Picture("list-nothing", "/?search=nobody"),
    Picture("form", "/add", _fill_in),
    Picture("form-errors", "/add", _make_mistakes),
    Picture("form-more", "/add", _show_more),
    Picture("form-check", "/collectors/personnel/edit", _check_the_form),
    Picture("conflict", "/collectors/support/edit", _be_too_late),
    Picture("collector", "/collectors/sales"),
    Picture("parked", "/collectors/press"),
    Picture("explained", "/collectors/press", _explain),
    Picture("away", "/collectors/berlin"),
    Picture("stalled", "/collectors/personnel"),
    Picture("disabled", "/collectors/trade-fair"),
    Picture("check", "/collectors/orders", _check),
    Picture("dialogue", "/collectors/personnel/dialogue"),
    Picture("delete", "/collectors/orders/delete"),
    Picture("clear", "/collectors/accounts/clear"),
    Picture("delete-two", "/", _ask_for_two),
    Picture("manifests", "/manifests"),
    Picture("service", "/service"),
    Picture("owner-link", "/collectors/orders", _make_a_link),
    Picture("not-found", "/collectors/nobody"),
    Picture("login", "/login", _mistake_the_token, anonymous=True),
    Picture("owner", "/collectors/orders", _follow_the_link),  # it logs out: the last one
)
RARE = (
    Picture("long-list", "/"),
    Picture("long-collector", f"/collectors/{LONG}"),
    Picture("long-form", f"/collectors/{LONG}/edit"),
    Picture("long-delete", f"/collectors/{LONG}/delete"),
    Picture("broken", "/manifests"),
    Picture("broken-collector", "/collectors/warehouse"),
    Picture("oauth2", "/collectors/google"),
    Picture("connect", "/collectors/google", _connect),
)
PAUSED = (
    Picture("paused-list", "/"),
    Picture("paused-service", "/service"),
    Picture("due-deletions", "/collectors/archive"),
)
FIRST = (Picture("first-login", "/login", anonymous=True),)
EMPTY = (
    Picture("empty-list", "/"),
    Picture("empty-manifests", "/manifests"),
)
CROWD = (
    Picture("crowd-list", "/"),
    Picture("crowd-search", "/?search=42&state=failing&sort=-name"),
    Picture("crowd-service", "/service"),
)
READ_ONLY = (
    Picture("read-only", "/collectors/sales/edit", _save),
    Picture("read-only-delete", "/collectors/sales/delete"),
)
DEAD = (Picture("dead-list", "/"), Picture("dead-collector", "/collectors/sales"))
