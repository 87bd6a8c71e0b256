"""Access to mailboxes over the page: consent by OAuth2, and one-time links for the owners, against
a real Dovecot that asks an authorization server whose a token is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from reconciler.web.access.roles import Role
from tests.servers.authorization import CLIENT, Authorization
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_settings import TokenInfo
from tests.servers.mail import small
from tests.web.browser.stage import Stage, open_stage

PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def authorization() -> Iterator[Authorization]:
    with Authorization() as server:
        server.issuer = True
        yield server


@pytest.fixture(scope="module")
def token_dovecot(authorization: Authorization) -> Iterator[Dovecot]:
    """One that knows tokens only."""
    introspection = TokenInfo(authorization.url("introspect?access_token="))
    with Dovecot("oauthbearer xoauth2", introspection) as server:
        yield server


@contextmanager
def log_in(stage: Stage, role: Role = Role.EDIT) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, headers=PAGE, timeout=30) as client:
        assert client.post("/login", data={"token": stage.tokens[role]}).status_code == 303
        yield client


def post(client: httpx.Client, path: str) -> httpx.Response:
    """Send a form of our own page."""
    found = re.search(r'name="csrf" content="([^"]+)"', client.get("/service").text)
    assert found
    return client.post(path, data={"csrf": found[1]})


def link_in(answer: httpx.Response, pattern: str) -> str:
    found = re.search(pattern, answer.text)
    assert found, answer.text
    return html.unescape(found[1])


def declare_token(stage: Stage, authorization: Authorization, user: str) -> Path:
    deployment, issuer = stage.deployment, authorization.url("").rstrip("/")
    path = deployment.declare("sales", user)
    secret = f"password: {{file: {deployment.secret}}}"
    oauth2 = (
        f'oauth2: {{provider: custom, issuer: "{issuer}", clientId: {CLIENT}, '
        f"refreshToken: {{file: {deployment.root / 'token'}}}}}"
    )
    deployment.write("sales", path.read_text().replace(secret, oauth2))
    return deployment.root / "token"


def consent(client: httpx.Client, page: httpx.Response) -> httpx.Response:
    """Go to the provider, and come back with what it says."""
    address = link_in(page, r'class="button main" rel="noreferrer" href="([^"]+)"')
    back = httpx.get(address, timeout=30).headers["Location"]
    return client.get(back)


@pytest.fixture
def oauth2_stage(tmp_path: Path, token_dovecot: Dovecot) -> Stage:
    return open_stage(tmp_path / "deployment", token_dovecot)


@pytest.fixture
def password_stage(tmp_path: Path, dovecot: Dovecot) -> Stage:
    return open_stage(tmp_path / "deployment", dovecot)


def test_consent_writes_the_token_and_collecting_goes_on(
    oauth2_stage: Stage, authorization: Authorization, token_dovecot: Dovecot, user: str
) -> None:
    token_dovecot.deliver(user, small(2))
    token = declare_token(oauth2_stage, authorization, user)
    authorization.consenting = user
    with oauth2_stage.running() as daemon, log_in(oauth2_stage) as client:
        page = post(client, "/collectors/sales/connect")
        assert page.status_code == 200
        assert "127.0.0.1" in page.text
        done = consent(client, page)

        assert done.status_code == 200
        assert user in done.text
        assert "mailcollector-consent" not in client.cookies
        written = token.read_text().strip()
        assert authorization.refresh[written] == user
        assert token.stat().st_mode & 0o777 == 0o600
        assert written not in done.text
        daemon.until("the mail", lambda: len(oauth2_stage.deployment.mail("sales")) == 2)
        again = client.get(str(done.url))  # a code, and a state, count once
        assert again.status_code == 403


def test_another_account_is_refused(
    oauth2_stage: Stage, authorization: Authorization, user: str
) -> None:
    token = declare_token(oauth2_stage, authorization, user)
    authorization.consenting = "somebody-else@example.org"
    with oauth2_stage.running(), log_in(oauth2_stage) as client:
        done = consent(client, post(client, "/collectors/sales/connect"))

        assert done.status_code == 422
        assert "does not open the mailbox" in done.text
        assert "canary" not in done.text
        assert not token.exists()


def test_a_denial_and_a_foreign_browser_change_nothing(
    oauth2_stage: Stage, authorization: Authorization, user: str
) -> None:
    token = declare_token(oauth2_stage, authorization, user)
    with oauth2_stage.running(), log_in(oauth2_stage) as client:
        authorization.consenting = ""
        denied = consent(client, post(client, "/collectors/sales/connect"))
        assert denied.status_code == 422
        assert "No consent was given" in denied.text

        authorization.consenting = user
        page = post(client, "/collectors/sales/connect")
        with httpx.Client(base_url=oauth2_stage.url, headers=PAGE, timeout=30) as other:
            assert consent(other, page).status_code == 403
        with log_in(oauth2_stage, Role.OPERATE) as operator:
            assert post(operator, "/collectors/sales/connect").status_code == 403
        assert not token.exists()


def test_the_owner_sets_a_password_that_nobody_else_sees(
    password_stage: Stage, dovecot: Dovecot, user: str
) -> None:
    deployment = password_stage.deployment
    secret = deployment.root / "own"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    deployment.declare("sales", user, secret=str(secret))
    with password_stage.running(), log_in(password_stage) as client:
        shown = post(client, "/collectors/sales/owner-link")
        address = link_in(shown, r'readonly value="([^"]+)"')
        assert address.startswith(f"{password_stage.url}/consent/owner/")
        link = urlsplit(address).path.rpartition("/")[2]
        with httpx.Client(base_url=password_stage.url, headers=PAGE, timeout=30) as owner:
            page = owner.get(address)
            assert page.status_code == 200
            assert "/manifests" not in page.text
            refused = owner.post("/consent/owner", data={"link": link, "password": "guess"})
            assert refused.status_code == 422
            assert "refuses this password" in refused.text
            assert secret.read_text() == "wrong\n"

            given = {"link": link, "password": dovecot.password}
            done = owner.post("/consent/owner", data=given, follow_redirects=True)

            assert done.status_code == 200
            assert dovecot.password not in done.text
            assert secret.read_text() == f"{dovecot.password}\n"
            assert owner.get(address).status_code == 403  # once
            forged = owner.get(f"{address[:-4]}AAAA")
            assert forged.status_code == 403
        log = deployment.log
        assert link not in log
        assert dovecot.password not in log
