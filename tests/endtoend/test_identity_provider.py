"""Collecting with the tokens of a real identity provider, oidc-provider, that Dovecot asks whose
each one is.

It gives out a new refresh token at every use, and a second use of an old one ends the consent: so
what is tried here is that nothing ever uses one twice.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import AccessTokens, Consent
from reconciler.secrets.secret_writing import write_secret
from tests.endtoend.deployment import Daemon, Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.identity import SCOPE, SECRET, Identity, Person
from tests.servers.mail import small

CLIENTS = ["public", "basic", "post"]
SHORT = 60
"""Seconds that an access token is valid, so that none is used twice: a new one is asked for 90
seconds before."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Identity]:
    with Identity() as server:
        yield server


@pytest.fixture(scope="module")
def dovecot(provider: Identity) -> Iterator[Dovecot]:
    with Dovecot("oauthbearer xoauth2", provider.token_info) as server:
        yield server


@pytest.fixture(autouse=True)
def afresh(provider: Identity) -> Iterator[None]:
    yield
    provider.tell(hold="", lifetime=3600)


@pytest.fixture
def refresh(deployment: Deployment) -> Path:
    return deployment.root / "refresh"


def oauth2(provider: Identity, refresh: Path, client: str = "public") -> dict[str, object]:
    """`source.oauth2`: all that the server tells by itself is left out."""
    secret: dict[str, Any] = (
        {"clientSecret": {"file": str(refresh.with_name("client"))}} if client != "public" else {}
    )
    if secret:
        write_secret(secret["clientSecret"]["file"], Secret(SECRET))
    if client == "post":
        secret["clientAuth"] = "form"
    return {
        "provider": "custom",
        "issuer": provider.issuer,
        "clientId": client,
        "scope": SCOPE,
        "refreshToken": {"file": str(refresh)},
        **secret,
    }


def consent(provider: Identity, refresh: Path, user: str, client: str = "public") -> None:
    """By a browser."""
    person = Person(user)
    Consent(source(provider, refresh, client), ConsentMethod()).ask(person, 20)
    assert "Done" in person.done()


def source(provider: Identity, refresh: Path, client: str = "public") -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "protocol": "imap",
            "host": "localhost",
            "username": "somebody",
            "oauth2": oauth2(provider, refresh, client),
        }
    )


def declare(
    deployment: Deployment,
    provider: Identity,
    name: str,
    user: str,
    protocol: str = "imap",
    *,
    client: str = "public",
    folders: list[str] | None = None,
) -> None:
    path = deployment.declare(name, user, protocol=protocol, interval="5s")
    password = f"password: {{file: {deployment.secret}}}"
    said = f"oauth2: {json.dumps(oauth2(provider, deployment.root / 'refresh', client))}"
    more = f"\n    folders: {json.dumps(folders)}" if folders else ""
    deployment.write(name, path.read_text().replace(password, said + more))


# Consent


@pytest.mark.parametrize("client", CLIENTS)
def test_consent_by_a_browser(provider: Identity, refresh: Path, user: str, client: str) -> None:
    """Code flow with PKCE, all endpoints told by the issuer; then a token, with which the refresh
    token is replaced."""
    before = len(provider.seen["ways"])
    consent(provider, refresh, user, client)
    assert refresh.stat().st_mode & 0o777 == 0o600
    seen = provider.seen
    assert seen["ways"][before:] == ["basic" if client == "basic" else "form"]
    assert seen["grants"][-1] == "authorization_code"


@pytest.mark.parametrize("client", CLIENTS)
def test_consent_from_another_device(
    provider: Identity, refresh: Path, user: str, client: str
) -> None:
    person = Person(user)

    def wait(_: float) -> None:
        if not refused:
            person.wait()
        refused.clear()

    refused = [1]  # the first time it is asked before anybody has consented
    prompts: list[Prompt] = []

    def shown(prompt: Prompt) -> None:
        prompts.append(prompt)
        person(prompt)

    Consent(source(provider, refresh, client), ConsentMethod(device=True), wait).ask(shown)
    assert prompts[0].code
    assert "confirm" in person.pages[1]
    assert refresh.read_text().strip()


@pytest.mark.parametrize("device", [False, True], ids=["browser", "device"])
def test_consent_denied(provider: Identity, refresh: Path, user: str, device: bool) -> None:
    person = Person(user, consents=False)
    with pytest.raises(
        AuthenticationFailed, match=r"access_denied.*The owner of the mailbox said no"
    ):
        Consent(
            source(provider, refresh), ConsentMethod(device=device), lambda _: person.wait()
        ).ask(person, 20)
    assert "Done" not in person.done()
    assert not refresh.exists()


# Collecting


def test_a_refused_token_costs_one_login(
    deployment: Deployment, provider: Identity, dovecot: Dovecot, refresh: Path, user: str
) -> None:
    """O9: somebody consented who is not the owner of the mailbox, whoever else shares the token."""
    for protocol in ("imap", "pop3"):
        declare(deployment, provider, protocol, user, protocol)
    consent(provider, refresh, f"not-{user}")
    before = len(dovecot.log.splitlines())
    deployment.once(code=1)
    for name, found in deployment.get().items():
        error = found["status"]["lastSession"]["error"]
        assert error["reason"] == "AuthenticationFailed", name
        assert error["advice"].startswith(
            "The access token was refused: consent as the owner of this mailbox"
        ), name
        assert "password" not in error["message"], name
    failed = [line for line in dovecot.log.splitlines()[before:] if "auth failed" in line]
    assert len(failed) == 2
    assert all("auth failed, 1 attempts" in line for line in failed)


@pytest.mark.parametrize(
    ("client", "mechanisms"), [("basic", "oauthbearer xoauth2"), ("post", "xoauth2")]
)
def test_two_protocols_collect_with_one_consent(
    deployment: Deployment,
    provider: Identity,
    refresh: Path,
    user: str,
    client: str,
    mechanisms: str,
) -> None:
    with Dovecot(mechanisms, provider.token_info) as dovecot:
        deployment.dovecot = dovecot
        dovecot.deliver(user, small(3))
        for protocol in ("imap", "pop3"):
            declare(deployment, provider, protocol, user, protocol, client=client)
        consent(provider, refresh, user, client)
        old, before = refresh.read_text(), provider.seen
        deployment.once()
        assert [len(deployment.mail(name)) for name in ("imap", "pop3")] == [3, 3]
        assert refresh.read_text() != old
        after = provider.seen
        assert after["grants"][len(before["grants"]) :] == ["refresh_token"]  # one for both
        assert after["revoked"] == before["revoked"]


def let_go(provider: Identity) -> None:
    """Once the provider has noticed that whoever waited is dead."""
    deadline = time.monotonic() + 60
    while provider.seen["held"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    provider.tell(hold="")


def test_four_collectors_edits_checks_and_crashes_share_one_consent(
    deployment: Deployment, provider: Identity, dovecot: Dovecot, refresh: Path, user: str
) -> None:
    """Every session needs a new token, for which the refresh token of all is replaced. The daemon
    is killed while a request is on its way that the provider has not looked at."""
    collectors = {"inbox": "imap", "archive": "imap", "pop": "pop3", "copy": "pop3"}
    dovecot.deliver(user, small(2))
    dovecot.deliver(user, small(2), "Archive")
    consent(provider, refresh, user)
    for name, protocol in collectors.items():
        declare(
            deployment,
            provider,
            name,
            user,
            protocol,
            folders=["Archive"] if name == "archive" else None,
        )
    before = provider.tell(lifetime=SHORT)

    def sessions(daemon: Daemon, name: str) -> int:
        found = daemon.get().get(name)
        return found["status"]["totals"]["sessions"] if found else 0

    def more_than(daemon: Daemon, name: str, at_first: int) -> bool:
        return sessions(daemon, name) > at_first

    def another(daemon: Daemon, *names: str) -> None:
        for name in names:
            daemon.until(
                f"another session of {name}",
                partial(more_than, daemon, name, sessions(daemon, name)),
            )

    for _ in range(2):
        with deployment.daemon() as daemon:
            another(daemon, *collectors)
            declare(deployment, provider, "inbox", user, folders=["INBOX"])
            another(daemon, "inbox")
            deployment.run("check", "pop")
            provider.tell(hold="request")
            declare(deployment, provider, "inbox", user, folders=["INBOX", "Archive"])
            daemon.until("a request", lambda: provider.seen["held"])
            daemon.process.kill()
            daemon.process.wait()
        let_go(provider)
        deployment.once()
    assert {name: len(deployment.mail(name)) for name in collectors} == {
        "inbox": 4,
        "archive": 2,
        "pop": 2,
        "copy": 2,
    }
    after = provider.seen
    assert after["revoked"] == before["revoked"] == 0
    assert after["refused"] == before["refused"]
    assert len(after["grants"]) - len(before["grants"]) > 8
    assert not list(deployment.root.glob(".refresh*"))


def waiting_for_an_answer(
    deployment: Deployment, provider: Identity, dovecot: Dovecot, user: str
) -> None:
    """A collector with a consent; the provider takes refresh tokens, and keeps its answers back."""
    dovecot.deliver(user, small(1))
    consent(provider, deployment.root / "refresh", user)
    declare(deployment, provider, "sales", user)
    provider.tell(hold="answer")


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        ("run", signal.SIGTERM),
        ("run --once", signal.SIGTERM),
        ("run --once", signal.SIGINT),
        ("check", signal.SIGTERM),
    ],
)
def test_whoever_is_told_to_end_waits_for_the_next_refresh_token(
    deployment: Deployment,
    provider: Identity,
    dovecot: Dovecot,
    refresh: Path,
    user: str,
    verb: str,
    number: signal.Signals,
) -> None:
    """Of `check` and `run --once` a second signal is the last one; the daemon has its nine
    seconds."""
    waiting_for_an_answer(deployment, provider, dovecot, user)
    revoked, old = provider.seen["revoked"], refresh.read_text()
    command = {
        "run": ("run", str(deployment.manifests)),
        "run --once": ("run", str(deployment.manifests), "--once"),
        "check": ("check", "sales", "--manifests", str(deployment.manifests)),
    }[verb]
    with (
        (deployment.root / "told").open("wb") as told,
        subprocess.Popen(
            deployment.command(*command), cwd=deployment.root, stdout=told, stderr=told
        ) as process,
    ):
        deadline = time.monotonic() + 60
        while not provider.seen["held"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        assert refresh.read_text() == old
        provider.tell(hold="")
        process.wait(60)
    assert refresh.read_text() != old
    assert AccessTokens().get(source(provider, refresh))
    assert provider.seen["revoked"] == revoked
    assert not list(deployment.root.glob(".refresh*"))


def test_what_a_crash_costs_while_the_answer_is_on_its_way(
    deployment: Deployment, provider: Identity, dovecot: Dovecot, refresh: Path, user: str
) -> None:
    """The provider has replaced the refresh token, and nobody knows by which: no program can help
    that. It is told."""
    waiting_for_an_answer(deployment, provider, dovecot, user)
    revoked = provider.seen["revoked"]
    with deployment.daemon() as daemon:
        daemon.until("a request", lambda: provider.seen["held"])
        daemon.process.kill()
        daemon.process.wait()
    let_go(provider)
    deployment.once(code=1)
    assert provider.seen["revoked"] == revoked + 1
    error = deployment.get()["sales"]["status"]["lastSession"]["error"]
    assert error["reason"] == "AuthenticationFailed"
    assert "run `mailcollector oauth2 sales` to get it again" in error["message"]
    consent(provider, refresh, user)
    deployment.once()
    assert len(deployment.mail("sales")) == 1
