"""Who gets in: tokens, sessions, proxies, and what is refused (hazards W1 to W5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.datastructures import Headers

from reconciler.model.settings import Listen, Settings
from reconciler.web import http_connections, http_server
from reconciler.web.access import login_limits
from reconciler.web.access.login_limits import FREE, LoginLimits
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from reconciler.web.access.trusted_proxy import TrustedProxies
from reconciler.web.http_server import ListenRefused
from tests.captured_logs import capture_logs
from tests.web.daemon import Daemon, daemon, run
from tests.web.test_connections import closed, listening

HTML = {"Accept": "text/html"}
CHANGES = ["POST /api/v1/collectors/sales/collect", "POST /-/reload"]


class Site:
    """A daemon on loopback, and a browser that follows no redirects by itself."""

    def __init__(self, found: Daemon, port: int, browser: httpx.AsyncClient) -> None:
        self.daemon = found
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.browser = browser
        self.tokens = TokenFile(found.settings.token_file)

    async def log_in(self, role: Role = Role.EDIT, name: str = "anna") -> str:
        """Log in, and return the CSRF token of the session."""
        token = self.tokens.create(name, role)
        answer = await self.browser.post(f"{self.url}/login", data={"token": token}, headers=HTML)
        assert answer.status_code == 303, answer.text
        page = await self.browser.get(f"{self.url}/", headers=HTML)
        return page.text.partition('<meta name="csrf" content="')[2].partition('"')[0]

    async def ask(self, what: str, **headers: str) -> httpx.Response:
        method, path = what.split()
        return await self.browser.request(method, self.url + path, headers=headers)


PATIENCE = 60.0
"""Seconds that an answer may take where other tests run beside this one."""


@asynccontextmanager
async def site(root: Path, settings: Settings) -> AsyncIterator[Site]:
    async with (
        listening(root, settings) as (found, port),
        httpx.AsyncClient(timeout=PATIENCE) as browser,
    ):
        await found.controller.turn()
        found.script.may_end.set()
        yield Site(found, port, browser)


Scenario = Callable[[Site], Coroutine[Any, Any, None]]


@pytest.fixture
def on_site(root: Path, settings: Settings) -> Callable[[Scenario], None]:
    def play(scenario: Scenario) -> None:
        async def whole() -> None:
            async with site(root, settings) as found:
                await scenario(found)

        run(whole())

    return play


def test_W5_without_a_token_nobody_gets_in(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        answer = await here.ask("GET /api/v1/collectors")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        page = await here.ask("GET /", **HTML)
        assert (page.status_code, page.headers["location"]) == (303, "/login?next=/")
        login = await here.ask("GET /login", **HTML)
        assert "mailcollector token create" in login.text

    on_site(scenario)


@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_it_may(on_site: Callable[[Scenario], None], role: Role) -> None:
    async def scenario(here: Site) -> None:
        bearer = f"Bearer {here.tokens.create('anna', role)}"
        assert (await here.ask("GET /api/v1/summary", Authorization=bearer)).status_code == 200
        for what, needed in (
            ("POST /api/v1/collectors/sales/unpark", Role.OPERATE),
            ("POST /api/v1/collectors/sales/clear", Role.EDIT),
        ):
            status = (await here.ask(what, Authorization=bearer)).status_code
            assert (status == 403) is not role.includes(needed), what

    on_site(scenario)


def test_W2_a_session_wants_its_own_csrf_token(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        assert csrf
        for what in CHANGES:
            assert (await here.ask(what)).status_code == 403
            assert (await here.ask(what, **{"X-CSRF-Token": "x"})).status_code == 403
            foreign = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}
            assert (await here.ask(what, **foreign)).status_code == 403
            other = {"X-CSRF-Token": csrf, "Origin": "http://127.0.0.1:1"}
            assert (await here.ask(what, **other)).status_code == 403
            own = {"X-CSRF-Token": csrf, "Origin": here.url, "Sec-Fetch-Site": "same-origin"}
            assert (await here.ask(what, **own)).status_code in {200, 202}
        answer = await here.browser.post(f"{here.url}/logout", data={"csrf": "x"}, headers=HTML)
        assert answer.status_code == 403

    on_site(scenario)


def test_a_session_is_kept_from_scripts_and_ends(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.VIEW)
        answer = await here.browser.post(f"{here.url}/login", data={"token": token}, headers=HTML)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert f"max-age={12 * 3600}" in cookie
        assert token not in answer.headers["set-cookie"]
        with capture_logs() as logged:
            assert (await here.ask("GET /", **HTML)).status_code == 200, logged
        here.tokens.revoke("anna")
        assert (await here.ask("GET /", **HTML)).status_code == 303, "it ends with its token"
        assert (await here.ask("GET /api/v1/summary")).status_code == 401

    on_site(scenario)


def test_a_forged_session_is_none(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        name, value = next(iter(here.browser.cookies.items()))
        signed, _, signature = value.rpartition(".")
        # its last character has two bits that stand for nothing
        other = ("B" if signature[0] == "A" else "A") + signature[1:]
        for forged in (f"{signed}.{other}", "x", value[5:], ""):
            here.browser.cookies.clear()
            answer = await here.ask("GET /api/v1/summary", Cookie=f"{name}={forged}")
            assert answer.status_code == 401

    on_site(scenario)


def test_W5_wrong_tokens_are_soon_not_looked_at(
    on_site: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_limits, "_FIRST", 60.0)  # longer than the test

    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.VIEW)
        with capture_logs() as logged:
            for number in range(FREE + 5):
                answer = await here.ask("GET /api/v1/summary", Authorization="Bearer secret-guess")
                assert answer.status_code == (401 if number < FREE else 429)
            assert 1 <= int(answer.headers["retry-after"]) <= 300
            page = await here.browser.post(
                f"{here.url}/login", data={"token": "secret-guess"}, headers=HTML
            )
            assert (page.status_code, "retry-after" in page.headers) == (429, True)
            assert "secret-guess" not in page.text + answer.text
            for probe in ("healthz", "readyz", "metrics"):
                asked = await here.ask(f"GET /{probe}", Authorization="Bearer secret-guess")
                assert asked.status_code == 200
            right = await here.ask("GET /api/v1/summary", Authorization=f"Bearer {token}")
            assert right.status_code == 200, "nobody locks others out"
        told = [line for line in logged if line["event"] == "wrong token"]
        assert len(told) == FREE, "pauses keep the log short"
        assert told[-1]["address"] == "127.0.0.1"
        assert told[-1]["pause"] >= 1
        assert token not in str(logged)
        assert "secret-guess" not in str(logged)

    on_site(scenario)


def test_what_somebody_changes_is_logged_with_the_name(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.EDIT)
        with capture_logs() as logged:
            await here.ask("POST /-/reload", Authorization=f"Bearer {token}")
        (line,) = [entry for entry in logged if entry["event"] == "requested"]
        assert (line["by"], line["how"], line["path"], line["status"]) == (
            "anna",
            "token",
            "/-/reload",
            200,
        )
        assert token not in str(logged)

    on_site(scenario)


def test_W1_pages_run_no_foreign_script(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        page = await here.ask("GET /login", **HTML)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        token = here.tokens.create("anna", Role.VIEW)
        for following in ("//evil.example", "https://evil.example", "/\\evil.example", "\\/x"):
            answer = await here.browser.post(
                f"{here.url}/login", data={"token": token, "next": following}, headers=HTML
            )
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"] == "/"

    on_site(scenario)


@pytest.mark.parametrize(("content", "mode"), [("{", 0o600), ('{"tokens": []}', 0o666)])
def test_a_file_of_tokens_that_is_none_lets_nobody_in(
    on_site: Callable[[Scenario], None], content: str, mode: int
) -> None:
    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.VIEW)
        here.tokens.path.write_text(content)
        here.tokens.path.chmod(mode)
        answer = await here.ask("GET /api/v1/summary", Authorization=f"Bearer {token}")
        assert answer.status_code == 503
        assert (await here.ask("GET /healthz")).status_code == 200

    on_site(scenario)


def test_W5_beyond_loopback_it_wants_tls_and_a_token(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        open_to_all = replace(settings, listen=Listen("0.0.0.0", 0))
        with pytest.raises(ListenRefused, match="--public-url"):
            async with daemon(root, open_to_all):
                pass
        public = replace(open_to_all, public_url="https://mail.example")
        with pytest.raises(ListenRefused, match="token create"):
            async with daemon(root, public):
                pass
        TokenFile(settings.token_file).create("anna", Role.VIEW)
        async with daemon(root, public):
            pass

    run(scenario())


def test_only_a_trusted_proxy_names_users(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        for trusted, status in ((("127.0.0.1",), 200), (("192.0.2.0/24",), 401), ((), 401)):
            proxied = replace(settings, trusted_proxies=trusted)
            async with site(root, proxied) as here:
                named = {"X-Forwarded-User": "anna", "X-Mailcollector-Role": "operate"}
                assert (await here.ask("GET /api/v1/summary", **named)).status_code == status
                if status == 200:
                    answer = await here.ask("POST /api/v1/collectors/sales/clear", **named)
                    assert answer.status_code == 403
                    two = {"X-Forwarded-User": "anna", "Remote-User": "root"}
                    assert (await here.ask("GET /api/v1/summary", **two)).status_code == 401
                    much = {"X-Forwarded-User": "anna", "X-Mailcollector-Role": "admin"}
                    assert (await here.ask("GET /api/v1/summary", **much)).status_code == 401

    run(scenario())


def test_the_client_is_the_last_hop_that_is_no_proxy() -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "::1"])

    def client(peer: str, *hops: str) -> str:
        return proxies.client(peer, Headers(raw=[(b"x-forwarded-for", h.encode()) for h in hops]))

    assert client("192.0.2.1", "1.1.1.1") == "192.0.2.1", "of others it is not read"
    assert client("10.0.0.1", "6.6.6.6, 192.0.2.7") == "192.0.2.7"
    assert client("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.9.9.9") == "192.0.2.7"
    assert client("::ffff:10.0.0.1", "192.0.2.7") == "192.0.2.7"
    assert client("10.0.0.1") == "10.0.0.1"


def test_W5_pauses_grow_are_forgotten_and_bounded() -> None:
    now = [0.0]
    limits = LoginLimits(lambda: now[0])
    pauses = []
    for _ in range(FREE + 20):
        limits.failed("2001:db8::1")
        pauses.append(limits.pause("2001:db8::2"))  # one /64 is one client
    assert pauses[: FREE + 3] == [0] * (FREE - 1) + [1, 2, 4, 8]
    assert pauses[-1] == 300
    assert limits.pause("2001:db8:1::2") == 0
    now[0] += 361
    assert limits.pause("2001:db8::1") == 0
    for number in range(10_000):
        limits.failed(f"10.0.{number // 256}.{number % 256}")
    assert len(limits._failures) <= 4096
    limits.failed("192.0.2.1")
    assert limits.pause("192.0.2.1") == 1, "among many that try, one try is free"
    now[0] += 400
    limits.failed("192.0.2.1")
    assert limits.pause("192.0.2.1") == 0


def test_W5_a_token_buys_no_more_patience(
    on_site: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "TIMEOUT", 0.5)

    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.EDIT)
        for rest in (b"X: ", b"Content-Length: 1000\r\n\r\nname: "):
            head = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Authorization: Bearer {token}\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            writer.write(head.encode() + rest)
            dribbling = asyncio.create_task(_dribble(writer))
            await closed(reader)
            dribbling.cancel()
            writer.close()

    on_site(scenario)


async def _dribble(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.05)


def test_every_answer_says_what_a_browser_may_do_with_it(
    on_site: Callable[[Scenario], None],
) -> None:
    async def scenario(here: Site) -> None:
        token = here.tokens.create("anna", Role.VIEW)
        for path in ("/healthz", "/metrics", "/api/v1/summary", "/nowhere", "/login", "/", "/-/x"):
            answer = await here.ask(f"GET {path}", Authorization=f"Bearer {token}")
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            assert token not in answer.text + str(answer.headers)

    on_site(scenario)


def test_the_socket_wants_no_token_and_its_changes_are_logged(
    on_site: Callable[[Scenario], None],
) -> None:
    async def scenario(here: Site) -> None:
        here.tokens.path.write_text("garbage")
        with capture_logs() as logged:
            assert (await here.daemon.client.post("/-/reload")).status_code == 200
            assert (await here.daemon.client.get("/api/v1/summary")).status_code == 200
            for _ in range(3):
                assert (await here.ask("POST /-/reload")).status_code == 503
        assert [(line["by"], line["how"]) for line in logged if line["event"] == "requested"] == [
            ("the control socket", "socket")
        ]
        assert len([line for line in logged if "cannot be used" in line["event"]]) == 1

    on_site(scenario)


def test_requests_of_nobody_are_not_logged(on_site: Callable[[Scenario], None]) -> None:
    async def scenario(here: Site) -> None:
        with capture_logs() as logged:
            for what in CHANGES:
                assert (await here.ask(what)).status_code == 401
        assert not [line for line in logged if line["event"] == "requested"]

    on_site(scenario)


def test_W5_event_streams_leave_room_for_the_probes(
    on_site: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_CLIENTS", http_server._FOR_PROBES + 3)

    async def scenario(here: Site) -> None:
        bearer = {"Authorization": f"Bearer {here.tokens.create('anna', Role.VIEW)}"}
        events = f"{here.url}/api/v1/events"
        async with AsyncExitStack() as stack:
            for status in (200, 200, 200, 503, 503):
                stream = here.browser.stream("GET", events, headers=bearer)
                assert (await stack.enter_async_context(stream)).status_code == status
            assert (await here.ask("GET /healthz")).status_code == 200
            assert (await here.daemon.client.get("/api/v1/summary")).status_code == 200
            busy = await here.ask("GET /api/v1/summary", **bearer)
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
        async with asyncio.timeout(20):  # the server has to notice that they are closed
            while (await here.ask("GET /api/v1/summary", **bearer)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    on_site(scenario)
