"""OAuth2 from end to end: a local authorization server, and Dovecot that asks it whose a token
is."""

from __future__ import annotations

import base64
import hmac
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.endtoend.deployment import Deployment
from tests.servers.authorization import CLIENT, Authorization
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_settings import TokenInfo
from tests.servers.mail import small


@pytest.fixture(scope="module")
def authorization() -> Iterator[Authorization]:
    with Authorization() as server:
        yield server


@pytest.fixture(
    scope="module",
    params=["oauthbearer xoauth2", "xoauth2"],
    ids=lambda offered: offered.split()[0],
)
def dovecot(authorization: Authorization, request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    """One that knows tokens only."""
    with Dovecot(request.param, TokenInfo(authorization.url("introspect?access_token="))) as server:
        yield server


def declare(
    deployment: Deployment,
    authorization: Authorization,
    name: str,
    user: str,
    protocol: str,
    interval: str = "5m",
) -> Path:
    """A collector whose refresh token is in the file of its name."""
    path = deployment.declare(name, user, protocol=protocol, interval=interval)
    secret = f"password: {{file: {deployment.secret}}}"
    oauth2 = (
        f"oauth2: {{provider: custom, clientId: {CLIENT}, "
        f'tokenUrl: "{authorization.url("token")}", '
        f"refreshToken: {{file: {deployment.root / name}}}}}"
    )
    text = path.read_text()
    assert secret in text
    return deployment.write(name, text.replace(secret, oauth2))


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_collects_and_keeps_what_the_server_rotates(
    deployment: Deployment, dovecot: Dovecot, user: str, authorization: Authorization, protocol: str
) -> None:
    dovecot.deliver(user, small(3))
    declare(deployment, authorization, "sales", user, protocol)
    (deployment.root / "sales").write_text(authorization.new_refresh_token(user))
    authorization.rotates = True
    deployment.once()
    deployment.once()
    authorization.rotates = False
    assert len(deployment.mail("sales")) == 3
    assert authorization.refresh[(deployment.root / "sales").read_text().strip()] == user
    logins = dovecot.logins(user)
    assert len(logins) == 2


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_S6_consent_collecting_refusal_and_no_token_anywhere(
    deployment: Deployment, dovecot: Dovecot, user: str, authorization: Authorization, protocol: str
) -> None:
    dovecot.deliver(user, small(2))
    declare(deployment, authorization, "sales", user, protocol, interval="5s")
    authorization.consenting = user
    consent = deployment.run(
        "oauth2", "sales", "--device", "--device-url", authorization.url("device")
    )
    assert consent.stdout == f"sales: the refresh token is in {deployment.root / 'sales'}\n"
    assert "WDJB-MJHT" in consent.stderr
    with deployment.daemon({"MAILCOLLECTOR_LOG_LEVEL": "debug"}) as daemon:
        found = daemon.condition("sales", "Ready", "True")
        assert found["status"]["tokenExpiresAt"]
        # revoked long before they expire: a new one is asked for at once
        authorization.access.clear()
        deployment.run("check", "sales")
        authorization.access.clear()
        before = found["status"]["totals"]["sessions"]
        daemon.until(
            "a session with a new token",
            lambda: (
                daemon.get()["sales"]["status"]["totals"]["sessions"] > before
                and authorization.access
            ),
        )
        assert deployment.get()["sales"]["status"]["lastSession"]["error"] is None
        authorization.access.clear()
        authorization.refresh.clear()
        stalled = daemon.condition("sales", "Stalled", "True")
        texts = [consent.stdout, consent.stderr, json.dumps(stalled)]
        reasons = {one["type"]: one["reason"] for one in stalled["status"]["conditions"]}
        assert reasons["Stalled"] == "AuthenticationFailed"
        texts += [
            done.stdout + done.stderr
            for done in (
                deployment.run("describe", "sales", "-o", "json"),
                deployment.run("check", "sales", code=1),
                deployment.run("collect", "sales", "--wait", "--force", code=1),
            )
        ]
        daemon.stop(signal.SIGTERM)
    assert len(deployment.mail("sales")) == 2
    kept = [path.read_bytes() for path in deployment.state.rglob("*") if path.is_file()]
    assert not any("canary" in text for text in [*texts, deployment.log])
    assert not any(b"canary" in content for content in kept)


def test_a_token_endpoint_that_is_gone_is_the_network_s_fault(
    deployment: Deployment, dovecot: Dovecot, user: str, authorization: Authorization
) -> None:
    path = declare(deployment, authorization, "sales", user, "imap")
    (deployment.root / "sales").write_text(authorization.new_refresh_token(user))
    deployment.write(
        "sales", path.read_text().replace(authorization.url("token"), "http://127.0.0.1:9/token")
    )
    deployment.once(code=1)
    error = deployment.get()["sales"]["status"]["lastSession"]["error"]
    assert (error["reason"], error["message"].partition(":")[0]) == (
        "ConnectionFailed",
        "127.0.0.1",
    )


def test_consent_by_a_browser(
    deployment: Deployment, dovecot: Dovecot, user: str, authorization: Authorization
) -> None:
    declare(deployment, authorization, "sales", user, "imap")
    authorization.consenting = user
    command = deployment.command(
        "oauth2", "sales", "--authorization-url", authorization.url("authorize")
    )
    with subprocess.Popen(
        command, cwd=deployment.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        url = next(line.strip() for line in running.stderr if "http" in line)
        assert httpx.get(url, follow_redirects=True, timeout=20).status_code == 200
        assert running.wait(30) == 0
    assert authorization.refresh[(deployment.root / "sales").read_text().strip()] == user


def jwt(key: bytes, user: str, lifetime: int) -> str:
    """HS256 (RFC 7515, RFC 7519), as long as providers' tokens are."""

    def coded(what: bytes) -> bytes:
        return base64.urlsafe_b64encode(what).rstrip(b"=")

    claims = {"sub": user, "exp": int(time.time()) + lifetime, "groups": ["x" * 36] * 60}
    signed = b".".join(
        coded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    )
    return (signed + b"." + coded(hmac.new(key, signed, "sha256").digest())).decode()


def test_a_mail_server_that_checks_signed_tokens_by_itself(
    deployment: Deployment, authorization: Authorization, user: str
) -> None:
    """It may find that one has expired which was just given out: no other one is asked for then."""
    key = bytes(range(32))
    with Dovecot("oauthbearer xoauth2", TokenInfo(username="sub", key=key)) as dovecot:
        deployment.dovecot = dovecot
        dovecot.deliver(user, small(2))
        for name, protocol in (("inbox", "imap"), ("pop", "pop3")):
            declare(deployment, authorization, name, user, protocol)
            (deployment.root / name).write_text("refresh")
        for lifetime, code, outcome in ((3600, 0, "succeeded"), (-600, 1, "failed")):
            answer = json.dumps(
                {"access_token": jwt(key, user, lifetime), "expires_in": 3600}
            ).encode()
            authorization.bent = [(200, answer)] * 2
            deployment.once(code=code)
            assert authorization.bent == []
            assert [
                found["status"]["lastSession"]["outcome"] for found in deployment.get().values()
            ] == [outcome] * 2
            assert [len(deployment.mail(name)) for name in ("inbox", "pop")] == [2, 2]
