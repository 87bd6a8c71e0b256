"""Findings about known providers: how to log in, and how often (`model.known_providers`)."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.manifests.checks.field_values import Fields
from reconciler.manifests.diagnostics import Finding, Severity
from reconciler.model import domains, known_providers
from reconciler.model.known_providers import Provider
from reconciler.model.scalar_types import (
    seconds,
)

_SOURCE = ("spec", "source")


def host(fields: Fields) -> str | None:
    """Return the server's host: the manifest's own or the provider's."""
    provider = known_providers.provider_named(fields.text(*_SOURCE, "provider") or "")
    if provider is None:
        return fields.text(*_SOURCE, "host")
    server = provider.server(fields.text(*_SOURCE, "protocol") or "imap")
    return fields.text(*_SOURCE, "host") or (server.host if server else None)


def server(host: str) -> str:
    """Return the same text for all hosts with the same mailboxes, such as imap.gmail.com and
    pop.gmail.com."""
    provider = known_providers.provider_of_host(host)
    if provider:
        return provider.family or provider.title
    try:
        return domains.host_to_ascii(host)
    except ValueError:
        return host


def hints(fields: Fields) -> Iterator[Finding]:
    """Yield the findings about the login and the interval."""
    provider = known_providers.provider_named(
        fields.text(*_SOURCE, "provider") or ""
    ) or known_providers.provider_of_host(fields.text(*_SOURCE, "host") or "")
    if provider is None:
        return
    if fields.has(*_SOURCE, "password") and (message := _login(provider)):
        yield Finding(
            (*_SOURCE, "password"),
            "provider-login",
            message,
            Severity.INFO if provider.takes_passwords else Severity.WARNING,
            key=True,
        )
    interval = fields.text("spec", "collect", "interval")
    if provider.shortest and interval is not None and seconds(interval) < provider.shortest:
        yield Finding(
            ("spec", "collect", "interval"),
            "interval-too-short",
            f"{provider.title} may lock an account that logs in more than once a minute: use 1m or "
            "longer, or `push: true`",
            Severity.WARNING,
        )


def _login(provider: Provider) -> str:
    """Return the message about a login with a password, or "" if nothing is wrong."""
    if not provider.takes_passwords:
        return f"{provider.title} accepts no passwords for IMAP and POP3 any more: use `oauth2`"
    if provider.logins[0] != "app-password" or "password" in provider.logins:
        return ""
    other = ", or use `oauth2`" if "oauth2" in provider.logins else ""
    return (
        f"{provider.title} takes an app password, never the account's own: make one in the "
        f"account's security settings{other} (docs/providers.md)"
    )
