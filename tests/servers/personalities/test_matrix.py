"""Every server of the field, in every mode: collecting, a refused password, throttling, a lost
connection, push."""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.collect.session import Session
from reconciler.collect.session_context import SessionTask
from reconciler.model.interfaces import Source
from reconciler.model.outcomes import SessionReport
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import idle, open_imap
from reconciler.sources.pop3 import open_pop3
from reconciler.wire.connection_limits import Limits
from tests.collect.world import (
    Fate,
    Helm,
    Mailboxes,
    MemoryDestination,
    MemoryLedger,
    everything_to,
)
from tests.servers.personalities.imap import Imap
from tests.servers.personalities.known import PERSONALITIES
from tests.servers.personalities.pop3 import Pop3Server
from tests.servers.personalities.store import Personality, Store
from tests.servers.scripted import Authority

TEXTS = tuple(
    b"From: a@b.example\r\nSubject: %d\r\n\r\nbody of %d\r\n.\r\n" % (number, number)
    for number in range(1, 6)
)
WANTED = sorted(text.replace(b"\r\n", b"\n") for text in TEXTS)
BOTH = [
    (one, protocol)
    for one in PERSONALITIES
    for protocol in ("imap", "pop3")
    if protocol == "imap" or one.pop3
]
IDS = [f"{one.name}-{protocol}" for one, protocol in BOTH]
MODES = ("all-delete", "new-delete", "new-keep")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    return authority.server()


class Account:
    """A collector's account at such a server, and what it has collected."""

    def __init__(
        self, one: Personality, protocol: str, store: Store, server: Imap | Pop3Server, ca_file: str
    ) -> None:
        self.one, self.protocol, self.store, self.server = one, protocol, store, server
        self.mailboxes, self.ledger = Mailboxes(), MemoryLedger()
        self.ca_file = ca_file

    def spec(self, **declared: Any) -> SourceSpec:
        tls = "starttls" if self.protocol == "imap" and self.one.starttls else "implicit"
        return SourceSpec.model_validate(
            {
                "protocol": self.protocol,
                "host": self.server.server.host,
                "port": self.server.server.port,
                "tls": tls,
                "caFile": self.ca_file,
                "username": "user",
                "password": {"env": "P"},
                **declared,
            }
        )

    def source(self, password: str = "", **declared: Any) -> Source:
        opened = open_imap if self.protocol == "imap" else open_pop3
        return opened(self.spec(**declared), Secret(password or self.store.password), Limits())

    def session(self, mode: str, password: str = "", **declared: Any) -> SessionReport:
        # one of MODES
        task = SessionTask("sales", mode, 100, 1 << 20, everything_to("a@here"))  # type: ignore[arg-type]
        source = self.source(password, **declared)
        fate = Fate()
        self.ledger.fate = fate
        report = Session(
            task,
            source,
            MemoryDestination(self.mailboxes, fate),
            self.ledger,
            Helm(),
            lambda: datetime(2026, 1, 1, tzinfo=UTC),
        ).run()
        assert (
            report.listed
            == report.collected + report.skipped + report.parked + report.failed + report.left
        )
        return report

    @property
    def collected(self) -> list[bytes]:
        return self.mailboxes.texts()


@contextmanager
def account(
    one: Personality, protocol: str, tls: ssl.SSLContext, ca_file: str
) -> Iterator[Account]:
    store = Store.of(*TEXTS, inbox=one.inbox.decode())
    for name in one.folders:
        store.folders[name.decode()] = {7: b"Subject: in a folder\r\n\r\nhello\r\n"}
    if protocol == "imap":
        with Imap(one, store, tls) as imap:
            yield Account(one, protocol, store, imap, ca_file)
    else:
        assert one.pop3 is not None
        with Pop3Server(one.pop3, store, tls) as pop3:
            yield Account(one, protocol, store, pop3, ca_file)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("one", "protocol"), BOTH, ids=IDS)
def test_everything_is_collected_once(
    one: Personality, protocol: str, mode: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, protocol, tls, authority.ca_file) as found:
        report = found.session(mode)
        assert report.error is None
        assert found.collected == WANTED
        assert found.store.logins <= 3  # down the ladder, once
        assert (not found.store.inbox) == (mode != "new-keep")
        again = found.session(mode)
        assert again.error is None
        assert again.collected == 0
        assert found.collected == WANTED


@pytest.mark.parametrize(
    "one", [one for one in PERSONALITIES if one.folders], ids=lambda one: str(one.name)
)
def test_folders_are_found_and_special_ones_left_out(
    one: Personality, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, "imap", tls, authority.ca_file) as found:
        report = found.session("new-keep", folders=["INBOX", "Lists/*", "*"])
        assert report.error is None
        special = sum(
            b"\\Trash" in flags or b"\\Junk" in flags or b"\\All" in flags
            for flags in one.folders.values()
        )
        assert report.collected == len(TEXTS) + len(one.folders) - special


@pytest.mark.parametrize(("one", "protocol"), BOTH, ids=IDS)
def test_a_refused_password_is_told_with_what_to_do(
    one: Personality, protocol: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, protocol, tls, authority.ca_file) as found:
        report = found.session("new-keep", "wrong")
        assert report.error is not None
        assert report.error.reason in {"AuthenticationFailed", "LoginRefused", "AccountNotReady"}
        assert found.store.logins <= 3  # each way once
        assert "wrong" not in report.error.message.replace("wrong_password", "")


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("one", "provider", "advice"),
    [
        ("gmail", "gmail", "https://myaccount.google.com/apppasswords"),
        ("microsoft365", "microsoft365", "source.oauth2"),
        ("qq", "qq", "授权码"),
        ("rambler", "rambler", "help.rambler.ru"),
        ("gmx", "gmx", "hilfe.gmx.net"),
    ],
)
def test_the_provider_that_the_manifest_names_has_the_advice(
    one: str, provider: str, advice: str, protocol: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    personality = next(known for known in PERSONALITIES if known.name == one)
    with account(personality, protocol, tls, authority.ca_file) as found:
        error = found.session("new-keep", "wrong", provider=provider).error
        assert error is not None
        assert advice in error.advice
        assert error.message.count("login refused") == 1


@pytest.mark.parametrize(("one", "protocol"), BOTH, ids=IDS)
def test_throttling_is_no_refused_password(
    one: Personality, protocol: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, protocol, tls, authority.ca_file) as found:
        found.store.throttled = True
        report = found.session("new-delete")
        assert report.error is not None
        assert report.error.reason in {"Throttled", "SourceUnavailable"}
        assert report.error.advice
        assert found.store.logins <= 1
        found.store.throttled = False
        assert found.session("new-delete").error is None
        assert found.collected == WANTED


@pytest.mark.parametrize("mode", ["all-delete", "new-keep"])
@pytest.mark.parametrize(("one", "protocol"), BOTH, ids=IDS)
def test_a_lost_connection_loses_and_doubles_nothing(
    one: Personality, protocol: str, mode: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, protocol, tls, authority.ca_file) as found:
        found.store.drop_after = 2
        found.session(mode)
        assert found.session(mode).error is None
        assert found.collected == WANTED


@pytest.mark.parametrize(
    "one", [one for one in PERSONALITIES if one.idles], ids=lambda one: str(one.name)
)
def test_new_mail_is_told(one: Personality, tls: ssl.SSLContext, authority: Authority) -> None:
    with account(one, "imap", tls, authority.ca_file) as found:
        push = idle.open_push(found.spec(), Secret(found.store.password), Limits())
        push.begin()
        assert isinstance(found.server, Imap)
        assert found.server.idling.wait(10)
        found.server.tell(b"Subject: new\r\n\r\n")
        news = False
        while not news:
            assert select.select([push], [], [], 10)[0]
            news = push.take()
        push.close()


def test_each_fact_has_its_source() -> None:
    assert len(PERSONALITIES) >= 22
    assert len({one.name for one in PERSONALITIES}) == len(PERSONALITIES)
    for one in PERSONALITIES:
        assert one.sources
        assert all(source.startswith("https://") for source in one.sources.values())
        assert one.quirks <= {
            "needs-id",
            "no-sasl-ir",
            "login-only",
            "sasl-only",
            "spaced",
            "unquoted",
            "lone-lf",
            "no-text",
            "lower",
        }
    assert Path(__file__).with_name("known.py").exists()


@pytest.mark.parametrize(("one", "protocol"), BOTH, ids=IDS)
def test_a_poison_message_is_only_one_message(
    one: Personality, protocol: str, tls: ssl.SSLContext, authority: Authority
) -> None:
    with account(one, protocol, tls, authority.ca_file) as found:
        found.store.poisoned = {3}
        for _ in range(2):
            found.session("new-delete")
        assert found.collected == [text for text in WANTED if b"body of 3" not in text]
        for _ in range(6):
            last = found.session("new-delete")
        assert last.parked == 1
        assert list(found.store.inbox) == [3]
