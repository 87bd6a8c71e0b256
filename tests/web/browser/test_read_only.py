"""Manifests that cannot be written, in a real browser: the page shows what to commit instead."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.read_only import read_only
from tests.web.browser.stage import Stage


def test_of_a_directory_that_cannot_be_written_it_shows_what_to_commit(
    empty_stage: Stage, browser: Browser, user: str
) -> None:
    deployment = empty_stage.deployment
    path = deployment.declare("sales", user, interval="1h")
    before = path.read_text()
    with read_only(deployment.manifests), empty_stage.running():
        page = empty_stage.log_in(browser)
        page.goto("/collectors/sales/edit")
        page.get_by_role("textbox", name="Interval").fill("2h")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("cannot be written")
        expect(page.get_by_label("The manifest")).to_have_value(re.compile("interval: 2h"))
        patch = page.get_by_label("The same as a patch")
        expect(patch).to_have_value(re.compile(r"^\+.*interval: 2h", re.MULTILINE))
        page.goto("/collectors/sales/delete")
        expect(page.get_by_role("main")).to_contain_text("cannot be written here")
        expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    assert path.read_text() == before
