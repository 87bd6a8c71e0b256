"""Impatient people: a button that is clicked again before the next page has come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

from tests.web.browser.stage import Stage, at


@pytest.fixture
def page(empty_stage: Stage, browser: Browser, user: str) -> Iterator[Page]:
    empty_stage.deployment.declare("shop", user, interval="1h")
    with empty_stage.running() as daemon:
        daemon.ready()
        yield empty_stage.log_in(browser)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def sent(page: Page, path: str) -> list[Request]:
    """The requests for a path, as they come."""
    found: list[Request] = []
    page.on("request", lambda one: found.append(one) if path in one.url else None)
    return found


def test_two_clicks_at_once_ask_once(page: Page) -> None:
    asked = sent(page, "/collectors/shop/delete")
    page.goto("/collectors/shop")
    button(page, "Delete").dblclick()
    page.wait_for_url(at("/collectors/shop/delete"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete shop?")
    assert len(asked) == 1
    button(page, "Delete").dblclick()
    page.wait_for_url(at("/"))
    assert [one.method for one in asked] == ["GET", "POST"]


def test_a_script_that_waits_for_nothing_deletes(page: Page, empty_stage: Stage) -> None:
    page.goto("/collectors/shop")
    button(page, "Delete").click(no_wait_after=True)
    button(page, "Delete").click(no_wait_after=True)
    page.wait_for_url(at("/"))
    assert not (empty_stage.deployment.manifests / "shop.yaml").exists()


def test_a_form_is_saved_once(page: Page) -> None:
    page.goto("/add")
    page.get_by_label("Title", exact=True).fill("New one")
    page.get_by_label("Server", exact=True).fill("127.0.0.1")
    page.get_by_label("Login", exact=True).fill("u")
    page.get_by_label("Password", exact=True).fill("p")
    page.get_by_label("Forward to", exact=True).fill("a@b.example")
    saved = sent(page, "/add")
    button(page, "Save").dblclick()
    page.wait_for_url(at("/collectors/new-one"))
    assert len(saved) == 1


def test_the_button_sends_its_value_and_works_again_when_no_page_comes(page: Page) -> None:
    page.clock.install()
    page.goto("/")
    page.get_by_role("row").filter(has_text="shop").get_by_role("checkbox").check()
    bodies: list[str] = []

    def no_page(route: Route) -> None:
        bodies.append(route.request.post_data or "")
        route.fulfill(status=204)

    page.route("**/actions", no_page)
    button(page, "Disable").dblclick()
    expect(button(page, "Disable")).to_be_disabled()
    page.clock.fast_forward(15_000)
    expect(button(page, "Disable")).to_be_enabled()
    assert ["action=disable&" in body for body in bodies] == [True]
    page.unroute("**/actions")
    button(page, "Disable").click()
    expect(page.get_by_text("is disabled")).to_be_visible()
    page.go_back()
    expect(button(page, "Disable")).to_be_enabled()
