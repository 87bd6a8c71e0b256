"""A visit in a real browser: getting in, how much is sent, and what every page owes its readers."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.web.browser.stage import Stage
from tests.web.browser.words import WORDS

PAGES = (
    "/",
    "/add",
    "/collectors/sales",
    "/collectors/lost",
    "/collectors/berlin",
    "/collectors/sales/delete",
    "/manifests",
    "/service",
    "/login",
)
MOST = 150_000
"""Octets of all that a first visit loads."""


@pytest.mark.parametrize("language", WORDS)
def test_in_by_a_token_and_out_again(
    empty_stage: Stage, browser: Browser, language: str, user: str
) -> None:
    words = WORDS[language]
    empty_stage.deployment.declare("sales", user, interval="1h")
    with empty_stage.running():
        page = empty_stage.open(browser, language=language)
        page.goto("/collectors/sales")
        page.wait_for_url("**/login?next=**")
        field = page.get_by_label(words["token"], exact=True)
        field.fill("mct_wrong")
        page.get_by_role("button", name=words["log in"]).click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")

        page.goto("/collectors/sales")
        field.fill(empty_stage.tokens[Role.VIEW])
        page.get_by_role("button", name=words["log in"]).click()
        page.wait_for_url("**/collectors/sales")
        for other in ("edit", "delete", "clear", "collect", "disable"):
            expect(page.get_by_role("button", name=words[other], exact=True)).to_have_count(0)
        page.get_by_role("button", name=words["log out"]).click()
        page.wait_for_url("**/login")
        page.go_back()
        page.reload()
        page.wait_for_url("**/login?next=**")


def test_a_link_logs_in_once(empty_stage: Stage, browser: Browser) -> None:
    with empty_stage.running():
        link = _link(empty_stage)
        page = empty_stage.open(browser)
        page.goto(link)
        page.wait_for_url(f"{empty_stage.url}/")
        expect(page.get_by_role("button", name="Add", exact=True)).to_be_visible()
        other = empty_stage.open(browser)
        other.goto(link)
        expect(other.get_by_role("alert")).to_contain_text("This link was used")


def test_the_language_can_be_chosen(empty_stage: Stage, browser: Browser) -> None:
    with empty_stage.running():
        page = empty_stage.log_in(browser, language="ru")
        expect(page.get_by_role("button", name="Добавить", exact=True)).to_be_visible()
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("button", name="Add", exact=True)).to_be_visible()
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_first_visit_is_small(stage: Stage, browser: Browser) -> None:
    page = stage.open(browser)
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    page.goto(_link(stage))
    page.wait_for_url(f"{stage.url}/")
    page.goto("/add")
    expect(page.locator("#preview")).not_to_be_empty()
    page.goto("/collectors/sales")
    page.wait_for_load_state()
    sent = {
        answer.url.removeprefix(stage.url): int(answer.headers["content-length"])
        for answer in answers
        if answer.ok and "/events" not in answer.url
    }
    assert any(path.endswith(".css") for path in sent)
    assert sum(sent.values()) < MOST, sent


@pytest.mark.parametrize(
    ("language", "dark", "narrow"), [("en", False, False), ("ru", True, True), ("en", True, False)]
)
def test_every_page_is_accessible_and_no_wider_than_the_screen(
    stage: Stage, browser: Browser, language: str, dark: bool, narrow: bool
) -> None:
    page = stage.log_in(browser, language=language, dark=dark, narrow=narrow)
    found = {path: faults for path in PAGES if (faults := _faults(page, path))}
    assert found == {}


def _faults(page: Page, path: str) -> list[str]:
    page.goto(path)
    faults = [
        f"{one['id']}: {node['target']}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
    ]
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*faults, f"{width} pixels too wide"] if width > 0 else faults


def _link(stage: Stage) -> str:
    tokens = TokenFile(stage.deployment.state / "tokens.json")
    token = tokens.named(f"{Role.EDIT.value}-er")
    assert token is not None
    return f"/login/{LoginSessions(tokens).link(token)}"
