"""The page of what was said: who sees it, in which words, and as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.web.access.roles import Role
from tests.servers.dovecot import Dovecot
from tests.sources.said import leaks
from tests.web.browser.stage import Stage, open_stage
from tests.web.test_collector_page import logged_in

WRONG = "hunter-forty-two-and-more"
PAGE = "/collectors/sales/dialogue"


@pytest.fixture
def here(tmp_path: Path, dovecot: Dovecot, user: str) -> Iterator[Stage]:
    stage = open_stage(tmp_path / "deployment", dovecot)
    secret = stage.deployment.root / "wrong"
    secret.write_text(WRONG)
    secret.chmod(0o600)
    stage.deployment.declare("sales", user, secret=str(secret))
    with stage.running() as daemon:
        daemon.until(
            "a session",
            lambda: stage.deployment.get()["sales"]["status"]["lastSession"] is not None,
        )
        yield stage


def test_S1_what_was_said_is_shown_to_who_operates_and_to_nobody_else(
    here: Stage, user: str
) -> None:
    with logged_in(here, Role.OPERATE) as client:
        assert f'href="{PAGE}"' in client.get("/collectors/sales").text
        page = client.get(PAGE)
        assert page.status_code == 200
        assert '<h1 id="dialogue-heading">What was said</h1>' in page.text
        assert "AUTHENTICATE PLAIN [redacted]" in page.text
        file = client.get(f"{PAGE}.txt")
        assert file.headers["content-type"] == "text/plain; charset=utf-8"
        assert file.headers["content-disposition"] == ('attachment; filename="sales-dialogue.txt"')
        assert "imap > C0 AUTHENTICATE PLAIN [redacted]" in file.text
        for text in (page.text, file.text):
            assert not leaks(text, WRONG, user)
            assert WRONG not in text
        assert client.get("/collectors/nobody/dialogue").status_code == 404
    with logged_in(here, Role.OPERATE, "ru") as client:
        text = client.get(PAGE).text
        assert "Протокол обмена" in text
        assert "сервер не принимает логин" in text
    with logged_in(here, Role.VIEW) as client:
        assert PAGE not in client.get("/collectors/sales").text
        for path in (PAGE, f"{PAGE}.txt", "/api/v1/collectors/sales/dialogue"):
            assert client.get(path).status_code == 403
