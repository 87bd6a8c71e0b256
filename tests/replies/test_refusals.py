"""What servers say, the error that it becomes, and the sentence that a person reads."""

from __future__ import annotations

import re
import time

import pytest

from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    SourceError,
    SourceUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.known_providers import NAMES, PROVIDERS, provider_of_host
from reconciler.model.refusal_meaning import Meaning
from reconciler.replies.refusals import concerns_all, duration, refusal
from reconciler.replies.reply_meaning import decoded, understand
from reconciler.replies.sourced_replies import REPLIES


def refused(text: str, host: str = "mx.example.com", protocol: str = "imap") -> SourceError | None:
    code = re.match(r"\[([A-Z/-]+)[^\]]*\]", text)
    return refusal(
        f"{host}: login refused: {text}",
        text,
        code[1] if code else "",
        host=host,
        protocol=protocol,
    )


@pytest.mark.parametrize(
    ("text", "host", "kind", "advice"),
    [
        (
            (
                "[ALERT] Application-specific password required: "
                "https://support.google.com/accounts/answer/185833 (Failure)"
            ),
            "imap.gmail.com",
            AuthenticationFailed,
            "https://myaccount.google.com/apppasswords",
        ),
        (
            "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            "imap.gmail.com",
            AuthenticationFailed,
            "app password",
        ),
        (
            "[AUTHENTICATIONFAILED] IMAP access is disabled for your domain.",
            "imap.gmail.com",
            AccountNotReady,
            "Switch on IMAP in Gmail's settings",
        ),
        (
            "[SYS/PERM] Your account is not enabled for POP access.",
            "pop.gmail.com",
            AccountNotReady,
            "Switch on",
        ),
        (
            "[WEBALERT https://accounts.google.com/signin] Web login required.",
            "imap.gmail.com",
            AccountNotReady,
            "browser",
        ),
        (
            "[ALERT] Account exceeded command or bandwidth limits. (Failure)",
            "imap.gmail.com",
            Throttled,
            "2,500 MB",
        ),
        (
            "[OVERQUOTA] Account exceeded command or bandwidth limits",
            "imap.gmail.com",
            Throttled,
            "2,500 MB",
        ),
        (
            "Basic authentication is disabled.",
            "outlook.office365.com",
            AuthenticationFailed,
            "use source.oauth2",
        ),
        (
            (
                "LOGIN failed. Account is blocked. Login to your account via a web browser to "
                "verify your identity."
            ),
            "outlook.office365.com",
            AccountNotReady,
            "browser",
        ),
        (
            "User is authenticated but not connected.",
            "mail.example.com",
            SourceUnavailable,
            "licence",
        ),
        (
            "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
            "outlook.office365.com",
            Throttled,
            "5 minutes",
        ),
        ("[LIMIT] CAPABILITY Rate limit hit.", "imap.mail.yahoo.com", Throttled, "interval"),
        (
            (
                "[AUTHENTICATIONFAILED] (#MBR1240) Please verify your account by going to "
                "https://login.yahoo.com"
            ),
            "imap.mail.yahoo.com",
            AccountNotReady,
            "https://login.yahoo.com",
        ),
        (
            (
                "[AUTHENTICATIONFAILED] LOGIN invalid credentials or IMAP is disabled "
                "sc=cYXlpv732Cg1_010534"
            ),
            "imap.yandex.ru",
            AuthenticationFailed,
            "Switch on mail programs",
        ),
        (
            "[AUTH] login failure or POP3 disabled, try later. sc=HtjJitcPRuQ1",
            "pop.yandex.ru",
            AuthenticationFailed,
            "Switch on mail programs",
        ),
        (
            (
                "NEOBHODIM parol prilozheniya "
                "https://help.mail.ru/mail/security/protection/external / Application password is "
                "REQUIRED"
            ),
            "imap.mail.ru",
            AuthenticationFailed,
            "external applications",
        ),
        (
            "EXAMINE Unsafe Login. Please contact kefu@188.com for help",
            "imap.163.com",
            AccountNotReady,
            "support",
        ),
        ("LOGIN Login error or password error", "imap.163.com", AuthenticationFailed, "授权码"),
        (
            (
                "Login fail. Account is abnormal, service is not open, password is incorrect, "
                "login frequency limited, or system is busy."
            ),
            "imap.qq.com",
            AuthenticationFailed,
            "授权码",
        ),
        (
            (
                "[ALERT] You are yet to enable IMAP for your account. Please contact your "
                "administrator (Failure)"
            ),
            "imap.zoho.eu",
            AccountNotReady,
            "https://www.zoho.com/mail/help/imap-access.html",
        ),
        (
            (
                "Exceeded the login limit for a 15 minute period. Reduce the frequency of "
                "requests to the POP3 server."
            ),
            "pop3.live.com",
            Throttled,
            "15 minutes",
        ),
        (
            (
                "[UNAVAILABLE] Maximum number of connections from user+IP exceeded "
                "(mail_max_userip_connections=16)"
            ),
            "mx.example.com",
            Throttled,
            "--host-connections",
        ),
        (
            "[UNAVAILABLE] Temporary authentication failure. [mx:2026-11-27 10:00:00]",
            "mx.example.com",
            SourceUnavailable,
            "tried again",
        ),
        (
            "[ALERT] LOGIN DENIED -- COUNTRY IS BLACKLISTED",
            "mx.example.com",
            Throttled,
            "address or country",
        ),
        (
            "[EXPIRED] That password is no longer valid",
            "mx.example.com",
            AuthenticationFailed,
            "new password",
        ),
        ("[PRIVACYREQUIRED] TLS please", "mx.example.com", TlsRefused, "source.tls"),
        (
            "[IN-USE] Do you have another POP session running?",
            "mx.example.com",
            Throttled,
            "Another program",
        ),
        ("maildrop already locked", "mx.example.com", Throttled, "Another program"),
        ("[SYS/PERM] no such account", "mx.example.com", SourceUnsuitable, "no mailbox"),
        ("[CONTACTADMIN] call us", "mx.example.com", AccountNotReady, "Ask"),
        ("[SERVERBUG] oops", "mx.example.com", SourceUnavailable, "tried again"),
        (
            "Server error: Failed to fetch messages in Inbox.",
            "mx.example.com",
            SourceUnavailable,
            "tried again",
        ),
        ("登录太频繁，请15分钟后再试", "mx.example.com", Throttled, "15 minutes"),
        (
            "[AUTH] Account temporarily locked, try again in 30 minutes",
            "mx.example.com",
            AccountNotReady,
            "30 minutes",
        ),
        ("Mailbox is locked, try again later", "mx.example.com", Throttled, "Another program"),
        ("IMAP отключен в настройках", "mx.example.com", AccountNotReady, "Switch on IMAP"),
        (
            "Connections from your IP are temporarily rejected; retry in 00:10:00",
            "mx.example.com",
            Throttled,
            "10 minutes",
        ),
        ("Passwort ist abgelaufen", "mx.example.com", AuthenticationFailed, "new password"),
        ("daily download limit exceeded", "mx.example.com", Throttled, "downloaded"),
        (
            "Слишком много попыток входа, повторите через 2 часа",
            "mx.example.com",
            Throttled,
            "2 hours",
        ),
    ],
)
def test_words_become_an_error_and_an_advice(
    text: str, host: str, kind: type[SourceError], advice: str
) -> None:
    error = refused(text, host)
    assert type(error) is kind
    assert advice in error.advice
    assert error.advice in str(error)
    assert text.rstrip(". ") in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "failed",
        "LOGIN failed.",
        "Mailbox doesn't exist: Lists",
        "Authentication failed, try again later",
        "Invalid password, please try later",
        "Unknown command",
        "[TRYCREATE] no such folder",
        "[ALERT] Welcome",
        "bandwidth",
        "attempt",
        "unlimited",
        "anytime",
    ],
)
def test_what_nobody_knows_stays_what_it_is(text: str) -> None:
    assert refused(text) is None


def test_a_code_that_says_it_all_comes_before_words() -> None:
    assert understand("[LIMIT] invalid credentials", "LIMIT") == understand("[LIMIT] x", "LIMIT")
    found = understand("[UNAVAILABLE] invalid credentials", "UNAVAILABLE")
    assert found is not None
    assert found.meaning is Meaning.TEMPORARY
    found = understand("[EXPIRED] too many logins", "EXPIRED")
    assert found is not None
    assert found.meaning is Meaning.PASSWORD_EXPIRED


def test_a_wrong_password_is_certain_only_where_a_code_says_so() -> None:
    certain, words = refused("[AUTHENTICATIONFAILED] no"), refused("Invalid credentials")
    assert isinstance(certain, AuthenticationFailed)
    assert certain.certain
    assert isinstance(words, AuthenticationFailed)
    assert not words.certain


def test_a_bug_of_the_server_may_be_one_messages_own() -> None:
    assert not concerns_all("[SERVERBUG] Internal error", "SERVERBUG")
    assert concerns_all("[SERVERBUG] Request is throttled", "SERVERBUG")
    assert concerns_all("[UNAVAILABLE] later", "UNAVAILABLE")
    assert not concerns_all("Message not found", "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("登录太频繁,请稍后再试".encode("gbk"), "登录太频繁,请稍后再试"),
        ("Слишком много соединений".encode("cp1251"), "Слишком много соединений"),
        ("Слишком много соединений".encode("koi8-r"), "Слишком много соединений"),
        ("Слишком много".encode(), "Слишком много"),
        (b"caf\xe9 \xff", "caf\\xe9 \\xff"),
    ],
)
def test_words_in_old_encodings_are_read(data: bytes, text: str) -> None:
    assert decoded(data) == text


@pytest.mark.parametrize("seconds", [0.2, 59, 90, 299.961, 3600, 7200, 86400])
def test_lengths_are_rounded_up(seconds: float) -> None:
    number, unit = duration(seconds).split()
    assert (
        seconds
        <= int(number) * {"seconds": 1, "minutes": 60, "hours": 3600}[unit]
        < 2 * seconds + 1
    )


def test_every_line_is_sound() -> None:
    assert sum(bool(reply.source) for reply in REPLIES) > 100
    for reply in REPLIES:
        assert reply.says == reply.says.casefold().strip()
        assert len(reply.says.replace("*", "").strip()) >= 2
        assert reply.source.startswith("https://") or not reply.source
        assert not reply.provider or reply.provider in NAMES
        found = understand(reply.says.replace("*", "x"))
        assert found is not None or reply.meaning is Meaning.LATER, reply.says


def test_every_provider_is_sound() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for provider in PROVIDERS:
        assert provider.imap or provider.pop3
        assert provider.sources
        for server in filter(None, (provider.imap, provider.pop3)):
            if server.host != "127.0.0.1" and provider.name != "outlook":
                assert (provider_of_host(server.host) or provider).title in {
                    provider.title,
                    "Microsoft 365",
                }


@pytest.mark.parametrize("piece", ["imap ", "too ", "pop3/imap ", "a", "登", "account exceeded "])
def test_understanding_takes_linear_time(piece: str) -> None:
    before = time.process_time()
    understand(piece * 100_000)
    assert time.process_time() - before < 0.5
