"""The errors that servers' refusals become: their type, the time to wait, and advice."""

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
    concerns_address,
    named_wait,
    understand,
)

_LONG = 3600.0
"""Seconds to wait after a used-up allowance or a blocked address, unless the server names them."""
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
"""Response codes that leave no doubt that the credentials were refused."""


def refusal(
    message: str, text: str, code: str, *, host: str, protocol: str, provider: str = ""
) -> SourceError | None:
    """Return the error of a refusal; None where its meaning is unknown.

    `text` has the server's words and `code` its response code in capitals. `message` says where
    what failed, in a printable form. `provider` is the name in the manifest.
    """
    found = understand(text, code)
    if found is None:
        return None
    advice = advise(found, host, protocol, provider)
    with_advice = f"{message.rstrip('. ')}. {advice}"
    wait = found.wait
    if found.meaning in {Meaning.BANDWIDTH, Meaning.BLOCKED}:
        wait = wait or _LONG
    if found.meaning is Meaning.WRONG_PASSWORD:
        return AuthenticationFailed(with_advice, certain=code in _OF_CREDENTIALS, advice=advice)
    error = _TYPES[found.meaning](with_advice, retry_after=wait, advice=advice)
    error.of_address = found.meaning in {
        Meaning.THROTTLED,
        Meaning.CONNECTIONS,
    } and concerns_address(text)
    return error


def refused_login(
    message: str, text: str, *, host: str, protocol: str, provider: str = ""
) -> SourceError:
    """Return the error of a refused login whose words have no known meaning.

    Its advice says how to log in at the provider, where that is known. It is `Throttled` where
    `text`, the server's words, names a time to wait.
    """
    whose = known_providers.provider_named(provider) or known_providers.provider_of_host(host)
    advice = (
        whose.advice.get(Meaning.WRONG_PASSWORD, "").replace("{protocol}", protocol.upper())
        if whose
        else ""
    )
    with_advice = f"{message.rstrip('. ')}. {advice}" if advice else message
    if wait := named_wait(text):
        return Throttled(with_advice, retry_after=wait, advice=advice)
    return AuthenticationFailed(with_advice, certain=False, advice=advice)


def concerns_all(
    text: str, code: str, types: Collection[type[SourceError]] = (Throttled, SourceUnavailable)
) -> bool:
    """Return whether a refusal concerns every command for a while, not only the refused one.

    The server wants fewer commands then, or is out of order. SERVERBUG alone does not count: a
    single message may cause it.
    """
    found = understand(text, code)
    return (
        found is not None
        and _TYPES[found.meaning] in types
        and not (code == "SERVERBUG" and found.meaning is Meaning.TEMPORARY)
    )


def advise(found: Understanding, host: str, protocol: str, provider: str = "") -> str:
    """Return advice for the administrator, in the provider's own terms where it is known."""
    whose = (
        known_providers.provider_named(provider)
        or known_providers.provider_named(found.provider)
        or known_providers.provider_of_host(host)
    )
    advice = whose.advice.get(found.meaning, found.meaning.value) if whose else found.meaning.value
    sentence = advice.replace("{protocol}", protocol.upper())
    return (
        f"{sentence.rstrip('. ')}. It asks to wait {duration(found.wait)}."
        if found.wait
        else sentence
    )


def duration(seconds: float) -> str:
    """Return a length of time in words, rounded up: "5 minutes", "2 hours", "90 seconds"."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{-int(-seconds // length)} {unit}"
    return f"{max(1, -int(-seconds // 1))} seconds"
