"""A daemon with a page: a deployment with collectors in every state, tokens, and browsers that are
logged in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page

from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.endtoend.deployment import Daemon, Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.loopback import free_ports
from tests.web.browser.complaints import note_complaints

LOCALES = {"en": "en-US", "ru": "ru-RU"}


def at(path: str) -> re.Pattern[str]:
    """Matches an address with this path. It has a query as long as the page's script has not taken
    the notice out of it."""
    return re.compile(rf"://[^/]+{re.escape(path)}(\?.*)?$")


@dataclass
class Stage:
    """A deployment, the address of its page, and a token of each role."""

    deployment: Deployment
    port: int
    tokens: dict[Role, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """What the browsers complained about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_tokens(self) -> None:
        tokens = TokenFile(self.deployment.state / "tokens.json")
        for role in Role:
            self.tokens[role] = tokens.create(f"{role.value}-er", role)

    def revoke(self, role: Role) -> None:
        TokenFile(self.deployment.state / "tokens.json").revoke(f"{role.value}-er")

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        listen = {"MAILCOLLECTOR_LISTEN": f"127.0.0.1:{self.port}"}
        with self.deployment.daemon(listen) as daemon:
            yield daemon

    def log_in(
        self,
        browser: Browser,
        role: Role = Role.EDIT,
        *,
        language: str = "en",
        dark: bool = False,
        narrow: bool = False,
        script: bool = True,
    ) -> Page:
        """A page that shows the list, of a browser of its own."""
        page = self.open(browser, language=language, dark=dark, narrow=narrow, script=script)
        page.goto("/login")
        page.locator("#token").fill(self.tokens[role])
        page.locator("main form button").click()
        page.wait_for_url(f"{self.url}/")
        return page

    def open(
        self,
        browser: Browser,
        *,
        language: str = "en",
        dark: bool = False,
        narrow: bool = False,
        script: bool = True,
    ) -> Page:
        """An empty page, of a browser of its own in which nobody is logged in."""
        context = browser.new_context(
            base_url=self.url,
            locale=LOCALES[language],
            color_scheme="dark" if dark else "light",
            viewport={"width": 390 if narrow else 1280, "height": 800},
            java_script_enabled=script,
        )
        context.set_default_timeout(20_000)
        note_complaints(context, self.url, self.complaints)
        return context.new_page()


def open_stage(root: Path, dovecot: Dovecot) -> Stage:
    """A deployment without collectors that can be listened to."""
    deployment = Deployment(root, dovecot)
    deployment.state.mkdir()
    stage = Stage(deployment, free_ports(1)[0])
    stage.make_tokens()
    return stage


def declare_every_state(stage: Stage, new: str) -> None:
    """Thirteen collectors: they are well, disabled, refused, without a host, a password or a
    recipient, and wrong. `new` makes the accounts' names unique."""
    deployment, dovecot = stage.deployment, stage.deployment.dovecot
    for at, name in enumerate(("accounts", "orders", "press", "sales", "support")):
        user = f"{name}-{new}"
        deployment.declare(name, user, protocol="pop3" if at == 1 else "imap", interval="1h")
        messages = [_message(number, user) for number in range(7 * at + 3)]
        dovecot.deliver(user, messages)
    _edit(deployment, "sales", "{name: sales}", "{name: sales, labels: {team: sales}}")
    _edit(deployment, "sales", "spec:", "spec:\n  title: Почта отдела продаж")
    _edit(deployment, "support", "{name: support}", "{name: support, labels: {team: help}}")
    for name in ("berlin", "lyon", "oslo"):
        deployment.declare(name, f"{name}-{new}", interval="1h")
        _edit(deployment, name, "host: localhost", "host: 127.0.0.1")
        _edit(deployment, name, f"port: {dovecot.ports['imaps']}", "port: 1")
    wrong = deployment.root / "wrong"
    wrong.write_text("not the password\n")
    deployment.declare("legal", f"legal-{new}", secret=str(wrong), interval="1h")
    deployment.declare("board", f"board-{new}", secret=str(deployment.root / "nowhere"))
    deployment.declare("archive", f"archive-{new}", interval="1h")
    _edit(deployment, "archive", "spec:", "spec:\n  enabled: false")
    deployment.declare("lost", f"lost-{new}", interval="1h")
    _edit(
        deployment,
        "lost",
        "recipient: {forwardTo: lost@example.net}",
        "recipient: {detect: {from: [remote.example], to: example.net, mailboxes: [ann]}}",
    )
    deployment.declare("typo", f"typo-{new}", intervall="1h")
    dovecot.deliver(f"lost-{new}", [_message(number, f"lost-{new}") for number in range(4)])


def _message(number: int, user: str) -> bytes:
    return (
        f"From: a@b.example\r\nTo: {user}@remote.example\r\nSubject: {number}\r\n"
        f"Message-ID: <{number}.{user}@b.example>\r\n\r\nHello {number}\r\n"
    ).encode()


def _edit(deployment: Deployment, name: str, old: str, new: str) -> None:
    text = (deployment.manifests / f"{name}.yaml").read_text()
    assert old in text
    deployment.write(name, text.replace(old, new, 1))
