"""Access tokens and consent, against a local authorization server."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    SecretUnavailable,
    SourceUnsuitable,
    Throttled,
)
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import AccessTokens, Consent, consent_flow
from reconciler.secrets.oauth2.token_endpoints import application
from tests.captured_logs import capture_logs
from tests.servers.authorization import CLIENT, Authorization


@pytest.fixture
def server() -> Iterator[Authorization]:
    with Authorization() as running:
        yield running


@pytest.fixture
def refresh(tmp_path: Path, server: Authorization) -> Path:
    path = tmp_path / "refresh"
    path.write_text(server.new_refresh_token("ann") + "\n")
    return path


def source(server: Authorization | None = None, **oauth2: Any) -> SourceSpec:
    declared = {"provider": "custom", "clientId": CLIENT} | (
        {"tokenUrl": server.url("token")} if server else {}
    )
    return SourceSpec.model_validate(
        {"protocol": "imap", "host": "127.0.0.1", "username": "ann", "oauth2": declared | oauth2}
    )


def by_file(server: Authorization, path: Path, **more: Any) -> SourceSpec:
    return source(server, refreshToken={"file": str(path)}, **more)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_asked_for_once_and_again_shortly_before_it_expires(
    server: Authorization, refresh: Path
) -> None:
    clock = Clock()
    tokens, spec = AccessTokens(clock), by_file(server, refresh, scope="mail")
    first = tokens.get(spec)
    assert server.access[first.secret.reveal()] == "ann"
    assert first.expires_at == tokens.expiry(spec) == clock.now + 3600
    assert server.forms == [
        {
            "grant_type": "refresh_token",
            "client_id": CLIENT,
            "scope": "mail",
            "refresh_token": refresh.read_text().strip(),
        }
    ]
    clock.now += 3500
    assert tokens.get(spec).secret == first.secret
    clock.now += 20
    assert tokens.get(spec).secret != first.secret
    assert len(server.forms) == 2


def test_many_sessions_at_once_ask_once(server: Authorization, refresh: Path) -> None:
    tokens, spec = AccessTokens(), by_file(server, refresh)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(tokens.get(spec).secret.reveal()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), len(server.forms)) == (8, 1, 1)


def test_client_credentials(server: Authorization, tmp_path: Path) -> None:
    (tmp_path / "client").write_text("s3cret")
    server.client_secrets["s3cret"] = "ann"
    token = AccessTokens().get(
        source(server, clientSecret={"file": str(tmp_path / "client")}, scope="mail")
    )
    assert server.access[token.secret.reveal()] == "ann"
    assert server.forms == [
        {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": "s3cret",
            "scope": "mail",
        }
    ]


def test_a_refused_token_is_replaced_once(server: Authorization, refresh: Path) -> None:
    tokens, spec = AccessTokens(), by_file(server, refresh)
    assert not tokens.refused(spec, tokens.get(spec).secret)
    first = tokens.get(spec).secret
    tokens.get(spec)
    assert tokens.refused(spec, first)
    second = tokens.get(spec).secret
    assert second != first
    assert tokens.refused(spec, first)  # by somebody who was slow: there is a newer one already
    assert tokens.get(spec).secret == second


def test_a_token_that_nobody_was_let_in_with_is_replaced_for_none_who_share_it(
    server: Authorization, refresh: Path
) -> None:
    """Else each of them would cost the account a second failed login."""
    tokens = AccessTokens()
    imap = by_file(server, refresh)
    sharing = [
        imap,
        *(imap.model_copy(update={"username": name}) for name in ("shared", "archive")),
        imap.model_copy(update={"protocol": "pop3", "port": 110}),
    ]
    given = [tokens.get(spec).secret for spec in sharing]
    tokens.get(sharing[1])  # this one's earlier session was let in
    assert [tokens.refused(*each) for each in zip(sharing, given, strict=True)] == [
        False,
        True,
        False,
        False,
    ]
    assert len(server.forms) == 1
    assert tokens.get(imap).secret not in given
    assert all(
        tokens.refused(*each) for each in zip(sharing, given, strict=True)
    )  # there is a newer one


@pytest.mark.parametrize("expires_in", [None, "soon", -1, "nan", [1]])
def test_a_lifetime_that_is_not_told_is_short(
    server: Authorization, refresh: Path, expires_in: object
) -> None:
    clock = Clock()
    tokens, spec = AccessTokens(clock), by_file(server, refresh)
    server.expires_in = expires_in
    first = tokens.get(spec)
    assert first.expires_at is None
    clock.now += 299
    assert tokens.get(spec).secret == first.secret
    clock.now += 2
    assert tokens.get(spec).secret != first.secret


def test_a_rotated_refresh_token_is_written_back_whole_and_private(
    server: Authorization, refresh: Path, tmp_path: Path
) -> None:
    refresh.chmod(0o644)
    server.rotates = True
    clock = Clock()
    tokens, spec = AccessTokens(clock), by_file(server, refresh)
    for _ in range(3):
        tokens.get(spec)
        clock.now += 3600
    assert server.refresh == {refresh.read_text().strip(): "ann"}
    assert stat.S_IMODE(refresh.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["refresh"]


def test_a_rotated_refresh_token_that_cannot_be_written_is_kept_in_memory(
    server: Authorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFRESH", server.new_refresh_token("ann"))
    server.rotates = True
    clock = Clock()
    tokens, spec = AccessTokens(clock), source(server, refreshToken={"env": "REFRESH"})
    with capture_logs() as logs:
        for _ in range(3):
            tokens.get(spec)
            clock.now += 3600
    assert "canary" not in json.dumps(logs)
    assert {line["log_level"] for line in logs} == {"warning"}
    monkeypatch.setenv("REFRESH", server.new_refresh_token("ann"))
    assert tokens.get(spec)
    assert server.forms[-1]["refresh_token"].endswith("-ann")


ANSWERS = [
    (400, {"error": "invalid_grant", "error_description": "gone"}, AuthenticationFailed),
    (401, {"error": "invalid_client"}, AuthenticationFailed),
    (400, {"error": "invalid_scope"}, SourceUnsuitable),
    (400, {"error": "temporarily_unavailable"}, Throttled),
    (429, {}, Throttled),
    (503, {}, ConnectionFailed),
    (302, {}, SourceUnsuitable),
    (403, {}, SourceUnsuitable),
    (200, {"token_type": "Bearer"}, ProtocolViolation),
    (200, {"access_token": "a b"}, ProtocolViolation),
    (200, {"access_token": "x\r\nLOGOUT"}, ProtocolViolation),
    (200, {"access_token": 7}, ProtocolViolation),
    (200, {"access_token": "abc", "token_type": "mac"}, ProtocolViolation),
    (200, None, ProtocolViolation),
    (200, {"error": "invalid_grant"}, AuthenticationFailed),
]


@pytest.mark.parametrize(("status", "answer", "error"), ANSWERS)
def test_what_an_answer_means(
    server: Authorization, refresh: Path, status: int, answer: object, error: type[CollectorError]
) -> None:
    server.bent = [(status, json.dumps(answer).encode() if answer is not None else b"<html>")]
    tokens, spec = AccessTokens(), by_file(server, refresh)
    with pytest.raises(error) as caught:
        tokens.get(spec)
    assert caught.type is error
    assert tokens.get(spec)


def test_S1_a_server_that_repeats_the_secret(server: Authorization, refresh: Path) -> None:
    said = refresh.read_text().strip() + "\x1b[31m"
    server.bent = [(400, json.dumps({"error": said, "error_description": said}).encode())]
    with pytest.raises(CollectorError) as caught:
        AccessTokens().get(by_file(server, refresh))
    assert "canary" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_nobody_listens_or_the_answer_never_ends(server: Authorization, refresh: Path) -> None:
    spec = by_file(server, refresh)
    server.bent = [(200, b"x" * 3_000_000)]
    with pytest.raises(ConnectionFailed, match="too long"):
        AccessTokens().get(spec)
    server.__exit__(None, None, None)
    with pytest.raises(ConnectionFailed):
        AccessTokens().get(spec)


@pytest.mark.parametrize(
    ("oauth2", "error"),
    [
        ({"tokenUrl": "http://example.org/token"}, SourceUnsuitable),
        ({"tokenUrl": "ftp://example.org/token"}, SourceUnsuitable),
        ({"refreshToken": {"file": "/nowhere/at/all"}}, SecretUnavailable),
    ],
)
def test_what_a_manifest_cannot_mean(
    server: Authorization, oauth2: dict[str, Any], error: type[CollectorError]
) -> None:
    spec = source(server, **oauth2)
    with pytest.raises(error):
        AccessTokens().get(spec)


def test_E7_a_token_endpoint_on_this_machine_is_not_asked_for_a_server_elsewhere(
    server: Authorization, refresh: Path
) -> None:
    spec = by_file(server, refresh).model_copy(update={"host": "imap.example.org"})
    with pytest.raises(SourceUnsuitable, match="on this machine"):
        AccessTokens().get(spec)
    assert not server.forms


@pytest.mark.parametrize("provider", ["google", "microsoft", "yandex", "mailru"])
def test_presets_are_https(provider: str) -> None:
    spec = source(provider=provider)
    assert spec.oauth2 is not None
    found = application(spec, spec.oauth2).endpoints
    assert found.token.startswith("https://")
    assert found.authorization.startswith("https://")
    assert found.device.startswith("https://") or provider in {"google", "mailru"}


def test_a_tenant_s_own_addresses() -> None:
    spec = source(
        provider="microsoft", tokenUrl="https://login.microsoftonline.com/t/oauth2/v2.0/token"
    )
    assert spec.oauth2 is not None
    found = application(spec, spec.oauth2).endpoints
    assert found.device == "https://login.microsoftonline.com/t/oauth2/v2.0/devicecode"


def test_an_application_without_an_id() -> None:
    spec = SourceSpec.model_validate(
        {"protocol": "imap", "host": "h", "username": "u", "oauth2": {"provider": "google"}}
    )
    with pytest.raises(SourceUnsuitable, match="clientId"):
        AccessTokens().get(spec)


# Consent


def by_device(server: Authorization) -> ConsentMethod:
    return ConsentMethod(device=True, device_url=server.url("device"))


def test_by_device(server: Authorization, tmp_path: Path) -> None:
    prompts: list[Prompt] = []
    waits: list[float] = []
    server.consenting, server.pending = "ann", 3
    path = tmp_path / "refresh"
    Consent(by_file(server, path), by_device(server), waits.append).ask(prompts.append)
    assert prompts == [Prompt(server.url("activate"), "WDJB-MJHT")]
    assert waits == [1, 1, 6, 6]
    assert server.refresh[path.read_text().strip()] == "ann"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_by_device_in_vain(server: Authorization, tmp_path: Path) -> None:
    spec = by_file(server, tmp_path / "refresh")
    server.pending = 1000
    with pytest.raises(AuthenticationFailed, match="in time"):
        Consent(spec, by_device(server), lambda _: None).ask(lambda _: None)
    server.pending = 0
    server.bent = [(400, b'{"error": "access_denied"}')]
    with pytest.raises(AuthenticationFailed, match="access_denied"):
        Consent(spec, by_device(server), lambda _: None).ask(lambda _: None)
    with pytest.raises(SourceUnsuitable, match="--device"):
        Consent(spec, ConsentMethod(device=True)).ask(lambda _: None)
    assert not (tmp_path / "refresh").exists()


def test_D11_a_server_that_fails_meanwhile_does_not_end_the_device_flow(
    server: Authorization, tmp_path: Path
) -> None:
    waits: list[float] = []
    server.consenting = "ann"
    path = tmp_path / "refresh"
    Consent(by_file(server, path), by_device(server), waits.append).ask(
        lambda _: server.bent.extend([(503, b""), (500, b"<html>"), (429, b"{}")])
    )
    assert server.refresh[path.read_text().strip()] == "ann"
    assert waits == [1, 1, 1, 6]


def test_what_a_person_denied_and_why(server: Authorization, tmp_path: Path) -> None:
    """O11: the browser says it, and so does the terminal."""
    pages: list[str] = []

    def deny(prompt: Prompt) -> None:
        given = dict(parse_qsl(urlsplit(prompt.url).query))
        pages.append(
            httpx.get(
                given["redirect_uri"],
                params={
                    "error": "access_denied",
                    "error_description": "The owner\x1b[31m said no",
                    "state": given["state"],
                },
                timeout=60,
            ).text
        )

    with pytest.raises(AuthenticationFailed, match=r"'access_denied': The owner \[31m said no"):
        Consent(
            by_file(server, tmp_path / "refresh"),
            ConsentMethod(authorization_url=server.url("authorize")),
        ).ask(deny)
    assert "No consent was given" in pages[0]
    assert "Done" not in pages[0]


def test_O11_a_connection_that_the_browser_opened_in_advance_delays_nothing(
    server: Authorization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that sends half a request: each is served by a thread of its own."""
    monkeypatch.setattr(consent_flow._RedirectTarget, "timeout", 1000.0)  # idle ones stay open
    server.consenting = "ann"
    idle: list[socket.socket] = []
    browser = Browser()

    def preconnecting(prompt: Prompt) -> None:
        back = urlsplit(dict(parse_qsl(urlsplit(prompt.url).query))["redirect_uri"])
        for said in (b"", b"GET /"):
            connection = socket.create_connection((back.hostname or "", back.port or 0))
            connection.sendall(said)
            idle.append(connection)
        browser(prompt)

    before = set(threading.enumerate())
    Consent(
        by_file(server, tmp_path / "refresh"),
        ConsentMethod(authorization_url=server.url("authorize")),
    ).ask(preconnecting)
    left = set(threading.enumerate()) - before - set(browser.threads)
    assert all(thread.daemon for thread in left)  # nor the end of the process
    browser.close()
    for connection in idle:
        connection.close()


def test_nobody_consents_in_vain(server: Authorization, tmp_path: Path) -> None:
    """Where the token could not be written, nobody is asked."""
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "refresh").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretUnavailable, match="is a link"):
        Consent(
            by_file(server, tmp_path / "refresh"),
            ConsentMethod(authorization_url=server.url("authorize")),
        ).ask(lambda _: pytest.fail("asked"))


class Browser:
    """Opens what it is shown, as a person would, and first what a stranger would like."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.urls: list[str] = []
        self.statuses: list[int] = []
        self.headers: list[dict[str, str]] = []

    def __call__(self, prompt: Prompt) -> None:
        self.urls.append(prompt.url)
        thread = threading.Thread(target=self._open, args=(prompt.url,))
        thread.start()
        self.threads.append(thread)

    def _open(self, url: str) -> None:
        back = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            answers = [
                client.get(back, params={"code": "forged", "state": "guessed"}),
                client.get(url),
            ]
        self.statuses = [answer.status_code for answer in answers]
        self.headers = [dict(answer.headers) for answer in answers]

    def close(self) -> None:
        for thread in self.threads:
            thread.join()


def test_by_redirect(server: Authorization, tmp_path: Path) -> None:
    server.consenting = "ann"
    path, browser = tmp_path / "refresh", Browser()
    Consent(
        by_file(server, path, scope="mail"),
        ConsentMethod(authorization_url=server.url("authorize")),
    ).ask(browser)
    browser.close()
    assert browser.statuses == [400, 200]
    for headers in browser.headers:
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert headers["content-type"] == "text/html; charset=utf-8"
    assert server.refresh[path.read_text().strip()] == "ann"
    assert "code_challenge_method=S256" in browser.urls[0]
    assert "scope=mail" in browser.urls[0]


def test_by_redirect_in_vain(server: Authorization, tmp_path: Path) -> None:
    spec, browser = by_file(server, tmp_path / "refresh"), Browser()
    with pytest.raises(AuthenticationFailed, match="access_denied"):
        Consent(spec, ConsentMethod(authorization_url=server.url("authorize"))).ask(browser)
    browser.close()
    with pytest.raises(AuthenticationFailed, match="in time"):
        Consent(spec, ConsentMethod(authorization_url=server.url("authorize"))).ask(
            lambda _: None, timeout=0.01
        )
    with pytest.raises(SourceUnsuitable, match="authorization-url"):
        Consent(spec, ConsentMethod()).ask(browser)
    with pytest.raises(SourceUnsuitable, match="https"):
        Consent(spec, ConsentMethod(authorization_url="http://example.org/")).ask(browser)


def test_consent_needs_a_file_to_write_to(server: Authorization) -> None:
    with pytest.raises(SecretUnavailable, match="file"):
        Consent(source(server, refreshToken={"env": "X"}), ConsentMethod())
    spec = SourceSpec.model_validate(
        {"protocol": "imap", "host": "h", "username": "u", "password": {"env": "X"}}
    )
    with pytest.raises(SourceUnsuitable, match="password"):
        Consent(spec, ConsentMethod())
