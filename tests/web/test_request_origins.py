"""Which Host and which Origin is ours (hazards W2, W3), and what proxies are believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from starlette.datastructures import Headers

from reconciler.model.settings import Listen, Settings
from reconciler.web.access.request_origins import RequestOrigins
from reconciler.web.access.roles import Role
from reconciler.web.access.trusted_proxy import TrustedProxies
from tests.web.daemon import run
from tests.web.test_access import CHANGES, HTML, site

PUBLIC = "https://mail.example"


def _origins(host: str = "127.0.0.1", public: str = "") -> RequestOrigins:
    return RequestOrigins(Settings(Path(), "", listen=Listen(host, 8080), public_url=public))


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("127.0.0.1:8080", True),
        ("[::1]:1", True),
        ("mail.example", True),
        ("10.1.2.3:8080", True),
        ("10.1.2.4:8080", False),
        ("", False),
        ("0.0.0.0:8080", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("mail.example.", False),
        ("[::1", False),
        ("localhost@evil.example", False),
        ("evil.example/localhost", False),
    ],
)
def test_W3_only_our_names_are_served(host: str, served: bool) -> None:
    connected_to = {"type": "http", "server": ("10.1.2.3", 8080)}
    origins = _origins("0.0.0.0", PUBLIC)
    assert origins.serves(connected_to, Headers({"host": host})) is served


@pytest.mark.parametrize(
    ("host", "origin", "foreign"),
    [
        ("mail.example", "https://mail.example", False),
        ("mail.example", "https://mail.example:443", False),
        ("127.0.0.1:8080", "https://mail.example", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("mail.example", "http://mail.example", True),
        ("mail.example", "https://mail.example:444", True),
        ("mail.example", "https://mail.example.evil.example", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081", True),
        ("127.0.0.1:8080", "http://localhost:8080", True),
        ("mail.example", "null", True),
        ("mail.example", "", True),
        ("mail.example", "https://[", True),
        ("mail.example", "file://mail.example", True),
    ],
)
def test_W2_only_our_own_pages_send_requests(host: str, origin: str, foreign: bool) -> None:
    """A proxy may put its own address into Host."""
    origins = _origins(public=PUBLIC)
    assert origins.is_foreign(Headers({"host": host, "origin": origin})) is foreign


@pytest.mark.parametrize(
    ("site_told", "foreign"),
    [("same-origin", False), ("none", False), ("same-site", True), ("cross-site", True)],
)
def test_W2_a_browser_says_whose_page_asks(site_told: str, foreign: bool) -> None:
    told = Headers({"host": "mail.example", "sec-fetch-site": site_told})
    assert _origins(public=PUBLIC).is_foreign(told) is foreign


def test_no_header_makes_a_stranger_a_trusted_proxy(
    root: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the HTTP server below would believe by itself."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")

    async def scenario() -> None:
        async with site(root, replace(settings, trusted_proxies=("192.0.2.0/24",))) as here:
            claims = {
                "X-Forwarded-For": "192.0.2.1",
                "X-Forwarded-Proto": "https",
                "Forwarded": "for=192.0.2.1",
                "X-Real-IP": "192.0.2.1",
                "X-Forwarded-User": "root",
                "X-Mailcollector-Role": "edit",
            }
            assert (await here.ask("GET /api/v1/summary", **claims)).status_code == 401

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("anna", "anna"),
        (" анна ", "анна"),
        ("anna\x1b[2J", None),
        ("a\u202eb", None),
        ("a" * 129, None),
        ("", None),
    ],
)
def test_M14_a_proxy_s_user_has_a_name_that_can_be_shown(sent: str, name: str | None) -> None:
    told = Headers(raw=[(b"x-forwarded-user", sent.encode())])
    found = TrustedProxies(["10.0.0.0/8"]).principal("10.0.0.1", told)
    assert (found and found.name) == name


def test_W2_a_proxy_s_user_in_a_browser_wants_a_csrf_token(
    root: Path,
    settings: Settings,
) -> None:
    """The browser sends the proxy's own session along, also for pages of others."""

    async def scenario() -> None:
        proxied = replace(settings, trusted_proxies=("127.0.0.1",), public_url=PUBLIC)
        async with site(root, proxied) as here:
            plain = {"X-Forwarded-User": "anna", "X-Mailcollector-Role": Role.EDIT.value}
            assert (await here.ask(CHANGES[1], **plain)).status_code == 200, "a program"
            browser = {**plain, "Origin": PUBLIC}
            assert (await here.ask(CHANGES[1], **browser)).status_code == 403
            page = await here.ask("GET /service", **plain, **HTML)
            csrf = page.text.partition('<meta name="csrf" content="')[2].partition('"')[0]
            own = {**browser, "X-CSRF-Token": csrf}
            assert (await here.ask(CHANGES[1], **own)).status_code == 200
            other = {**own, "X-Forwarded-User": "bob"}
            assert (await here.ask(CHANGES[1], **other)).status_code == 403

    run(scenario())
