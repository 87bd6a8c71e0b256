"""From a server's refusal to an error: its type, how long to wait, and a sentence that says what to
do."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.model import known_providers
from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    SourceError,
    SourceUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.refusal_meaning import Meaning
from reconciler.replies.reply_meaning import (
    Understanding,
    named_wait,
    speaks_of_address,
    understand,
)

_LONG = 3600.0
"""Seconds: what is used up or barred comes back slowly."""
_TYPES: dict[Meaning, type[SourceError]] = {
    Meaning.THROTTLED: Throttled,
    Meaning.CONNECTIONS: Throttled,
    Meaning.BANDWIDTH: Throttled,
    Meaning.IN_USE: Throttled,
    Meaning.OVER_QUOTA: Throttled,
    Meaning.BLOCKED: Throttled,
    Meaning.TEMPORARY: SourceUnavailable,
    Meaning.LATER: SourceUnavailable,
    Meaning.NOT_CONNECTED: SourceUnavailable,
    Meaning.PROTOCOL_OFF: AccountNotReady,
    Meaning.LOCKED: AccountNotReady,
    Meaning.TERMS: AccountNotReady,
    Meaning.WEB_LOGIN: AccountNotReady,
    Meaning.IDENTIFY: AccountNotReady,
    Meaning.CONTACT_ADMIN: AccountNotReady,
    Meaning.NO_MAILBOX: SourceUnsuitable,
    Meaning.TLS_WANTED: TlsRefused,
    Meaning.APP_PASSWORD: AuthenticationFailed,
    Meaning.OAUTH2: AuthenticationFailed,
    Meaning.PASSWORD_EXPIRED: AuthenticationFailed,
    Meaning.OFF_OR_PASSWORD: AuthenticationFailed,
    Meaning.WRONG_PASSWORD: AuthenticationFailed,
}
_OF_CREDENTIALS = {"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "AUTH"}
"""Codes that leave no doubt that the credentials were refused."""


def refusal(
    message: str, text: str, code: str, *, host: str, protocol: str, provider: str = ""
) -> SourceError | None:
    """The error that a refusal stands for; None where nobody knows what it means. `text` are the
    server's words and `code` its response code in capitals; `message` says where and what, fit to
    be shown. `provider`: as the manifest names it."""
    found = understand(text, code)
    if found is None:
        return None
    advice = advise(found, host, protocol, provider)
    told = f"{message.rstrip('. ')}. {advice}"
    wait = found.wait
    if found.meaning in {Meaning.BANDWIDTH, Meaning.BLOCKED}:
        wait = wait or _LONG
    if found.meaning is Meaning.WRONG_PASSWORD:
        return AuthenticationFailed(told, certain=code in _OF_CREDENTIALS, advice=advice)
    error = _TYPES[found.meaning](told, retry_after=wait, advice=advice)
    error.of_address = found.meaning in {
        Meaning.THROTTLED,
        Meaning.CONNECTIONS,
    } and speaks_of_address(text)
    return error


def refused_login(
    message: str, text: str, *, host: str, protocol: str, provider: str = ""
) -> SourceError:
    """A login that was refused in words that nobody knows: where the provider is known, how one
    logs in there. Where `text`, the server's words, names a time, it asks for a pause."""
    whose = known_providers.named(provider) or known_providers.of_host(host)
    advice = (
        whose.advice.get(Meaning.WRONG_PASSWORD, "").replace("{protocol}", protocol.upper())
        if whose
        else ""
    )
    told = f"{message.rstrip('. ')}. {advice}" if advice else message
    if wait := named_wait(text):
        return Throttled(told, retry_after=wait, advice=advice)
    return AuthenticationFailed(told, certain=False, advice=advice)


def concerns_all(
    text: str, code: str, types: Collection[type[SourceError]] = (Throttled, SourceUnavailable)
) -> bool:
    """Whether a refusal is not about what was asked for, but about everything for a while: less is
    wanted, or the server is out of order. A SERVERBUG may come from a single message."""
    found = understand(text, code)
    return (
        found is not None
        and _TYPES[found.meaning] in types
        and not (code == "SERVERBUG" and found.meaning is Meaning.TEMPORARY)
    )


def advise(found: Understanding, host: str, protocol: str, provider: str = "") -> str:
    """What a person can do about it; the provider's own page where it is known."""
    whose = (
        known_providers.named(provider)
        or known_providers.named(found.provider)
        or known_providers.of_host(host)
    )
    advice = whose.advice.get(found.meaning, found.meaning.value) if whose else found.meaning.value
    told = advice.replace("{protocol}", protocol.upper())
    return f"{told.rstrip('. ')}. It asks to wait {duration(found.wait)}." if found.wait else told


def duration(seconds: float) -> str:
    """5 minutes, 2 hours, 90 seconds: rounded up."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{-int(-seconds // length)} {unit}"
    return f"{max(1, -int(-seconds // 1))} seconds"
