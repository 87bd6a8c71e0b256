"""Find the provider of a mail address: its server, and what it requires of the account."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from reconciler.model import known_providers
from reconciler.model.known_providers import Provider
from reconciler.web.page.form_fields import (
    PORT,
    PROVIDER,
    SERVER,
    SSL,
    TEMPLATE,
    TLS,
    TYPE,
    Values,
)
from reconciler.web.page.page_translation import Language

_PORTS = {
    ("imap", "implicit"): 993,
    ("imap", "starttls"): 143,
    ("imap", "none"): 143,
    ("pop3", "implicit"): 995,
    ("pop3", "starttls"): 110,
    ("pop3", "none"): 110,
}


class KnownAccount(Struct, frozen=True):
    """The server of a login's provider. `port` is "" where it is the usual one."""

    title: str
    host: str
    protocol: str
    port: str
    tls: str
    advice: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return this as JSON for the page's script."""
        return {
            "title": self.title,
            "host": self.host,
            "protocol": self.protocol,
            "port": self.port,
            "tls": self.tls,
            "advice": list(self.advice),
        }


def known_account(login: str, protocol: str, language: Language) -> KnownAccount | None:
    """Return the provider's server for a login; None where the provider is not known."""
    provider = known_providers.guess_provider(login.rpartition("@")[2]) if "@" in login else None
    if provider is None:
        return None
    is_there = protocol in {"imap", "pop3"} and provider.server(protocol) is not None
    chosen = protocol if is_there else "imap" if provider.imap else "pop3"
    server = provider.server(chosen)
    if server is None:
        return None
    usual = _PORTS[chosen, server.tls] == server.port
    port = "" if usual else str(server.port)
    sentences = tuple(advice(provider, language))
    return KnownAccount(provider.title, server.host, chosen, port, server.tls, sentences)


def advice_for(values: Values, language: Language) -> tuple[str, ...]:
    """Return what the provider of the form's account wants."""
    found = known_account(values.get("spec.source.username", ""), values.get(TYPE, ""), language)
    if found is not None:
        return found.advice
    provider = known_providers.provider_of_host(values.get(SERVER, ""))
    return tuple(advice(provider, language)) if provider else ()


def advice(provider: Provider, language: Language) -> list[str]:
    """Return sentences about what a provider wants, in the reader's language."""
    text, name = language.gettext, {"provider": provider.title}
    sentences = []
    if not provider.takes_passwords:
        sentences.append(
            text(
                "%(provider)s accepts no passwords: choose OAuth2 under “More”, and save. The "
                "collector's page then connects it."
            )
            % name
        )
    elif provider.logins[0] == "app-password":
        sentences.append(text("%(provider)s wants an app password, not the account's own.") % name)
    if provider.username == "local part":
        sentences.append(text("%(provider)s wants the part before @ as the login.") % name)
    return [*sentences, *map(text, provider.prepare)]


def with_known_server(sent: Values, language: Language) -> Values:
    """Return a form's values with the server of the login's provider, where none was named."""
    if sent.get(SERVER) or sent.get(PROVIDER) or sent.get(TEMPLATE):
        return sent
    found = known_account(sent.get("spec.source.username", ""), sent.get(TYPE, ""), language)
    if found is None:
        return sent
    known = {SERVER: found.host, TYPE: found.protocol, SSL: "" if found.tls == "none" else "on"}
    if found.port and not sent.get(PORT):
        known[PORT] = found.port
    if found.tls == "starttls":
        known[TLS] = found.tls
    return {**sent, **known}
