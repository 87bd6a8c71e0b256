"""Browser sessions and one-time links: how they begin, and all the ways they end."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from itsdangerous import timed
from msgspec.structs import replace

from reconciler.model.settings import Settings
from reconciler.web.access.login_sessions import LIFETIME, LINK_LIFETIME, LoginSessions
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.captured_logs import capture_logs
from tests.web.daemon import run
from tests.web.test_access import HTML, PATIENCE, site


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    found = TokenFile(tmp_path / "tokens.json")
    found.create("anna", Role.OPERATE)
    return found


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = timed.TimestampSigner.get_timestamp
    monkeypatch.setattr(
        timed.TimestampSigner, "get_timestamp", lambda self: now(self) + int(seconds)
    )


def test_a_session_is_over_after_twelve_hours(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = LoginSessions(tokens)
    cookie = sessions.cookie(tokens.tokens()[0])
    assert LIFETIME == 12 * 3600
    with monkeypatch.context() as patched:
        _later(patched, LIFETIME - 60)
        assert sessions.principal(cookie)
    _later(monkeypatch, LIFETIME + 5)
    assert sessions.principal(cookie) is None


def test_a_link_logs_in_once_and_within_ten_minutes(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = LoginSessions(tokens)
    link, late = (sessions.link(tokens.tokens()[0]) for _ in range(2))
    found = sessions.redeem(link)
    assert found is not None
    assert found.name == "anna"
    assert sessions.redeem(link) is None
    _later(monkeypatch, LINK_LIFETIME + 5)
    assert sessions.redeem(late) is None


def test_a_session_is_no_link_and_a_link_no_session(tokens: TokenFile) -> None:
    sessions, anna = LoginSessions(tokens), tokens.tokens()[0]
    assert sessions.redeem(sessions.cookie(anna)) is None
    assert sessions.principal(sessions.link(anna)) is None


def test_a_session_outlives_a_restart_but_neither_its_token_nor_its_key(tokens: TokenFile) -> None:
    cookie = LoginSessions(tokens).cookie(tokens.tokens()[0])
    found = LoginSessions(TokenFile(tokens.path)).principal(cookie)
    assert found is not None
    assert (found.name, found.role, found.how) == ("anna", Role.OPERATE, "session")
    tokens.revoke("anna")
    tokens.create("anna", Role.EDIT)
    assert LoginSessions(tokens).principal(cookie) is None, "another token of this name"
    cookie = LoginSessions(tokens).cookie(tokens.tokens()[0])
    text = tokens.path.read_text()
    tokens.path.write_text(re.sub(r'"signingKey": "\w+"', f'"signingKey": "{"0" * 64}"', text))
    assert LoginSessions(tokens).principal(cookie) is None


def test_a_role_that_changes_counts_at_once(tokens: TokenFile) -> None:
    sessions = LoginSessions(tokens)
    cookie = sessions.cookie(tokens.tokens()[0])
    tokens.path.write_text(tokens.path.read_text().replace('"operate"', '"view"'))
    found = sessions.principal(cookie)
    assert found is not None
    assert found.role is Role.VIEW


def test_each_session_has_its_own_csrf_token(tokens: TokenFile) -> None:
    sessions, anna = LoginSessions(tokens), tokens.tokens()[0]
    found = [sessions.principal(sessions.cookie(anna)) for _ in range(2)]
    assert len({who.csrf for who in found if who}) == 2


def test_logging_out_ends_a_copy_of_the_session_too(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        async with site(root, settings) as here:
            csrf = await here.log_in()
            copy = dict(here.browser.cookies)
            answer = await here.browser.post(
                f"{here.url}/logout", data={"csrf": csrf}, headers=HTML
            )
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
            assert "max-age=0" in answer.headers["set-cookie"].lower()
            async with httpx.AsyncClient(cookies=copy, timeout=PATIENCE) as thief:
                assert (await thief.get(f"{here.url}/api/v1/summary")).status_code == 401

    run(scenario())


def test_with_https_only_this_host_gets_the_cookie_and_only_by_tls(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        public = replace(settings, public_url="https://mail.example")
        async with site(root, public) as here:
            token = here.tokens.create("anna", Role.VIEW)
            headers = {**HTML, "Host": "mail.example", "Origin": "https://mail.example"}
            answer = await here.browser.post(
                f"{here.url}/login", data={"token": token}, headers=headers
            )
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-mailcollector-session=")
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"secure", "httponly", "samesite=strict", "path=/"} <= parts
            assert not any(part.startswith("domain") for part in parts)
            plain = cookie.split(";")[0].removeprefix("__Host-")
            assert (await here.ask("GET /api/v1/summary", Cookie=plain)).status_code == 401

    run(scenario())


def test_a_link_is_in_no_line_of_the_log(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with site(root, settings) as here:
            here.tokens.create("anna", Role.VIEW)
            link = LoginSessions(here.tokens).link(here.tokens.tokens()[0])
            with capture_logs() as logged:
                await here.ask(f"POST /login/{link}", **HTML)
                first = await here.ask(f"GET /login/{link}", **HTML)
                await here.ask(f"POST /login/{link}", **HTML)
                here.browser.cookies.clear()
                again = await here.ask(f"GET /login/{link}", **HTML)
            assert (first.status_code, again.status_code) == (303, 403)
            assert link not in str(logged)
            assert [line["by"] for line in logged if line["event"] == "logged in"] == ["anna"]

    run(scenario())
