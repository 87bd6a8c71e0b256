"""What is over stays over: used links and ended sessions, also after a restart; streams end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from reconciler.model.settings import Settings
from reconciler.web.access import ended_logins, login_sessions, stream_guard
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.access.ended_logins import EndedLogins
from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Principal, Role
from reconciler.web.access.token_file import TokenFile
from tests.web.test_access import HTML, Scenario, Site, on_site

__all__ = ["on_site"]


def test_a_used_link_and_an_ended_session_stay_over_after_a_restart(tmp_path: Path) -> None:
    tokens, kept = TokenFile(tmp_path / "tokens.json"), tmp_path / "ended-logins"
    tokens.create("anna", Role.VIEW)
    sessions = LoginSessions(tokens, EndedLogins(kept))
    link, cookie = (make(tokens.tokens()[0]) for make in (sessions.link, sessions.cookie))
    assert sessions.redeem(link)
    sessions.end(cookie)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert link not in kept.read_text()
    restarted = LoginSessions(tokens, EndedLogins(kept))
    assert restarted.redeem(link) is None
    assert restarted.principal(cookie) is None


def test_the_file_of_ended_logins_is_bounded_and_survives_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended_logins, "_REMEMBERED", 4)
    path, now = tmp_path / "ended-logins", [1000.0]
    ended = EndedLogins(path, lambda: now[0])
    ended.add("early", 10)
    path.write_text(path.read_text() + "\n12")
    now[0] += 20
    for number in range(20):
        ended.add(f"n{number}", 100)
    assert len(path.read_text().split()) <= 20
    again = EndedLogins(path, lambda: now[0])
    assert "n19" in again
    assert "early" not in again


def test_ended_logins_that_cannot_be_written_hold_until_the_process_ends(tmp_path: Path) -> None:
    ended = EndedLogins(tmp_path / "nowhere" / "ended-logins")
    ended.add("link", 10)
    assert "link" in ended


@pytest.mark.parametrize(
    ("how", "way"),
    [
        ("token", "revoked"),
        ("token", "lowered"),
        ("session", "revoked"),
        ("session", "lowered"),
        ("session", "unusable"),
        ("session", "logged out"),
        ("session", "too old"),
    ],
)
def test_an_open_stream_ends_with_its_token_role_or_session(
    on_site: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch, how: str, way: str
) -> None:
    monkeypatch.setattr(stream_guard, "_LOOKS", 0.05)

    async def scenario(here: Site) -> None:
        bearer, csrf = {}, ""
        if how == "token":
            bearer = {"Authorization": f"Bearer {here.tokens.create('anna', Role.EDIT)}"}
        else:
            csrf = await here.log_in(Role.EDIT)
        file = here.tokens.path
        events = f"{here.url}/api/v1/events"
        async with here.browser.stream("GET", events, headers=bearer) as answer:
            assert answer.status_code == 200
            if way == "logged out":
                await here.browser.post(f"{here.url}/logout", data={"csrf": csrf}, headers=HTML)
            elif way == "too old":
                monkeypatch.setattr(login_sessions, "LIFETIME", -1)
            elif way == "revoked":
                here.tokens.revoke("anna")
            else:
                other = "view" if way == "lowered" else "emperor"
                file.write_text(file.read_text().replace('"edit"', f'"{other}"'))
            async with asyncio.timeout(60):
                async for _ in answer.aiter_lines():
                    pass
        csrf_header = {"X-CSRF-Token": csrf} if csrf else {}
        removed = await here.browser.post(
            f"{here.url}/api/v1/collectors/sales/clear", headers={**bearer, **csrf_header}
        )
        assert removed.status_code == {"lowered": 403, "unusable": 503}.get(way, 401)
        listed = await here.browser.get(f"{here.url}/api/v1/collectors", headers=bearer)
        assert listed.status_code == {"lowered": 200, "unusable": 503}.get(way, 401)

    on_site(scenario)


def test_a_role_that_is_raised_ends_no_stream(settings: Settings) -> None:
    tokens = TokenFile(settings.token_file)
    rules = AccessRules.of(settings)
    secret = tokens.create("anna", Role.OPERATE)
    cookie = rules.sessions.cookie(tokens.tokens()[0])
    sent = Headers(
        {"authorization": f"Bearer {secret}", "cookie": f"mailcollector-session={cookie}"}
    )
    for how in ("token", "session"):
        for before, holds in ((Role.VIEW, True), (Role.OPERATE, True), (Role.EDIT, False)):
            assert rules.holds(Principal("anna", before, how), sent) is holds


def test_W5_wrong_links_have_to_wait_as_wrong_tokens_do(
    on_site: Callable[[Scenario], None],
) -> None:
    async def scenario(here: Site) -> None:
        statuses = [
            (await here.ask(f"GET /{path}/wrong", **HTML)).status_code
            for path in ["login", "consent/owner"] * 4
        ]
        assert statuses[:5] == [403] * 5
        assert 429 in statuses[5:]

    on_site(scenario)
