"""What is known of the big providers: how they let programs log in, and how often.

Pages that say so: support.google.com/accounts/answer/185833 (app passwords), learn.microsoft.com "Deprecation of Basic
authentication in Exchange Online", yandex.ru/support/id/ru/authorization/app-passwords, help.mail.ru/mail/security/
protection/external.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.manifests import domains
from reconciler.manifests.diagnostics import Finding, Severity
from reconciler.manifests.fields import Fields
from reconciler.manifests.spec import seconds

SHORTEST = 60.0
"""Seconds from login to login that all of them bear."""
_SOURCE = ("spec", "source")


class Provider(Struct, frozen=True):
    """`password`: what to say to a manifest that logs in with one; `accepts`: whether any password can work."""

    title: str
    password: str
    accepts: bool = True


_GOOGLE = Provider("Gmail", "takes an app password, never the account's own: make one in the Google account, or use "
                            "`oauth2`")
_MICROSOFT = Provider("Microsoft", "accepts no passwords for IMAP and POP3 any more: use `oauth2`", accepts=False)
_YANDEX = Provider("Yandex", "takes an app password, never the account's own, and IMAP or POP3 must be switched on in "
                             "the mailbox: make one in Yandex ID, or use `oauth2`")
_MAILRU = Provider("Mail.ru", "takes an app password, never the account's own: make one in the mailbox's security "
                              "settings, or use `oauth2`")
_DOMAINS = {
    "gmail.com": _GOOGLE, "googlemail.com": _GOOGLE,
    "outlook.com": _MICROSOFT, "office365.com": _MICROSOFT, "hotmail.com": _MICROSOFT, "live.com": _MICROSOFT,
    "yandex.ru": _YANDEX, "yandex.com": _YANDEX, "ya.ru": _YANDEX, "yandex.net": _YANDEX,
    "mail.ru": _MAILRU, "bk.ru": _MAILRU, "list.ru": _MAILRU, "inbox.ru": _MAILRU,
}


def of_host(host: str) -> Provider | None:
    """Whose server this is, as far as its name tells."""
    labels = host.lower().rstrip(".").split(".")
    return _DOMAINS.get(".".join(labels[-2:]))


def server(host: str) -> str:
    """The same text for all hosts that lead to the same mailboxes: imap.gmail.com and pop.gmail.com."""
    provider = of_host(host)
    if provider:
        return provider.title
    try:
        return domains.host_to_ascii(host)
    except ValueError:
        return host


def hints(fields: Fields) -> Iterator[Finding]:
    """What such a provider will not like about a collector."""
    provider = of_host(fields.text(*_SOURCE, "host") or "")
    if provider is None:
        return
    if fields.has(*_SOURCE, "password"):
        yield Finding((*_SOURCE, "password"), "provider-login", f"{provider.title} {provider.password}",
                      Severity.INFO if provider.accepts else Severity.WARNING, key=True)
    interval = fields.text("spec", "collect", "interval")
    if interval is not None and seconds(interval) < SHORTEST:
        yield Finding(("spec", "collect", "interval"), "interval-too-short", f"{provider.title} may lock an account "
                      "that logs in more than once a minute: use 1m or longer, or `push: true`", Severity.WARNING)
