"""The form in a real browser where it does not go smoothly: mistakes, somebody else's change, and a
directory that cannot be written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browser.stage import Stage
from tests.web.browser.words import WORDS


def save(page: Page, language: str = "en") -> None:
    page.get_by_role("button", name=WORDS[language]["save"], exact=True).click()


@pytest.mark.parametrize("language", WORDS)
def test_mistakes_stand_at_their_fields(
    empty_stage: Stage, browser: Browser, language: str
) -> None:
    words = WORDS[language]
    with empty_stage.running():
        page = empty_stage.log_in(browser, language=language)
        page.goto("/add")
        page.get_by_role("textbox", name=words["title"], exact=True).fill("Shop")
        page.get_by_role("textbox", name=words["interval"]).fill("2s")
        save(page, language)
        for field in ("server", "login", "forward to", "interval"):
            wrong = page.get_by_role("textbox", name=words[field], exact=True)
            expect(wrong).to_have_attribute("aria-invalid", "true")
            expect(wrong).to_have_accessible_description(re.compile(r"\S{3}"))
        title = page.get_by_role("textbox", name=words["title"], exact=True)
        expect(title).to_have_value("Shop")
        expect(title).not_to_have_attribute("aria-invalid", "true")
        summary = page.get_by_role("alert")
        expect(summary).to_be_focused()
        summary.get_by_role("link", name=words["server"], exact=True).click()
        expect(page.get_by_role("textbox", name=words["server"], exact=True)).to_be_focused()
        assert not (empty_stage.deployment.manifests / "shop.yaml").exists()


@pytest.mark.parametrize("script", [True, False])
def test_somebody_elses_change_is_shown_and_kept(
    stage: Stage, browser: Browser, script: bool
) -> None:
    path = stage.deployment.manifests / "sales.yaml"
    page = stage.log_in(browser, script=script)
    page.goto("/collectors/sales/edit")
    page.get_by_role("textbox", name="Interval").fill("2h")
    stage.deployment.write(
        "sales", path.read_text().replace("sales@example.net", "ann@example.net")
    )
    save(page)
    told = page.get_by_role("alert")
    expect(told).to_contain_text("Somebody else changed this collector meanwhile")
    expect(told).to_contain_text("+  recipient: {forwardTo: ann@example.net}")
    assert "2h" not in path.read_text()
    expect(page.get_by_role("textbox", name="Interval")).to_have_value("2h")
    expect(page.get_by_role("textbox", name="Forward to")).to_have_value("ann@example.net")
    page.get_by_role("button", name="Apply mine on top").click()
    page.wait_for_url("**/collectors/sales*")
    assert "ann@example.net" in path.read_text()
    assert "2h" in path.read_text()


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
        save(page)
        expect(page.get_by_role("heading", level=1)).to_contain_text("cannot be written")
        expect(page.get_by_label("The manifest")).to_have_value(re.compile("interval: 2h"))
        patch = page.get_by_label("The same as a patch")
        expect(patch).to_have_value(re.compile(r"^\+.*interval: 2h", re.MULTILINE))
        page.goto("/collectors/sales/delete")
        expect(page.get_by_role("main")).to_contain_text("cannot be written here")
        expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    assert path.read_text() == before


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Mount it over itself, read-only, as a ConfigMap is. Needs root."""
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)
