"""A visit in a real browser: getting in, and how much is sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Response, expect

from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.web.browser.stage import Stage
from tests.web.browser.words import WORDS

MOST = 150_000
"""Octets of all that a first visit loads."""


@pytest.mark.parametrize("language", WORDS)
def test_in_by_a_token_and_out_again(shared_stage: Stage, browser: Browser, language: str) -> None:
    words, stage = WORDS[language], shared_stage
    page = stage.open(browser, language=language)
    page.goto("/collectors/sales")
    page.wait_for_url("**/login?next=**")
    field = page.get_by_label(words["token"], exact=True)
    field.fill("mct_wrong")
    page.get_by_role("button", name=words["log in"]).click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")

    page.goto("/collectors/sales")
    field.fill(stage.tokens[Role.VIEW])
    page.get_by_role("button", name=words["log in"]).click()
    page.wait_for_url("**/collectors/sales")
    for other in ("edit", "delete", "clear", "collect", "disable"):
        expect(page.get_by_role("button", name=words[other], exact=True)).to_have_count(0)
    page.get_by_role("button", name=words["log out"]).click()
    page.wait_for_url("**/login")
    page.go_back()
    page.reload()
    page.wait_for_url("**/login?next=**")


def test_a_link_logs_in_once(shared_stage: Stage, browser: Browser) -> None:
    link = _link(shared_stage)
    page = shared_stage.open(browser)
    page.goto(link)
    page.wait_for_url(f"{shared_stage.url}/")
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_visible()
    other = shared_stage.open(browser)
    other.goto(link)
    expect(other.get_by_role("alert")).to_contain_text("This link was used")


def test_the_language_can_be_chosen(shared_stage: Stage, browser: Browser) -> None:
    page = shared_stage.log_in(browser, language="ru")
    expect(page.get_by_role("button", name="Добавить", exact=True)).to_be_visible()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_first_visit_is_small(shared_stage: Stage, browser: Browser) -> None:
    stage = shared_stage
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


def _link(stage: Stage) -> str:
    tokens = TokenFile(stage.deployment.state / "tokens.json")
    token = tokens.named(f"{Role.EDIT.value}-er")
    assert token is not None
    return f"/login/{LoginSessions(tokens).link(token)}"
