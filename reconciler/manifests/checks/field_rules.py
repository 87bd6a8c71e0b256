"""Rules for one manifest that a JSON Schema cannot express, such as combinations of fields.

The rules read the values of the file and not the model, so that an error in one field does not hide
errors in others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from reconciler.manifests.checks import provider_hints
from reconciler.manifests.checks.field_values import Fields
from reconciler.manifests.diagnostics import Finding, Path, Severity, quoted
from reconciler.model import domains

_SOURCE = ("spec", "source")
_DETECT = ("spec", "recipient", "detect")
_SMTP = ("spec", "smtp")
_SECRETS: tuple[tuple[str, ...], ...] = (
    (*_SOURCE, "password"),
    (*_SOURCE, "oauth2", "clientSecret"),
    (*_SOURCE, "oauth2", "refreshToken"),
    ("spec", "smtp", "password"),
)
_HOSTS: tuple[tuple[str, ...], ...] = (
    (*_SOURCE, "host"),
    ("spec", "lmtp", "host"),
    ("spec", "smtp", "host"),
)
_ADDRESSES: tuple[tuple[str, ...], ...] = (
    (*_SOURCE, "address"),
    ("spec", "recipient", "forwardTo"),
    (*_DETECT, "default"),
)
_OWN_TOKEN_URL = {"custom", "microsoft"}
"""Providers whose token URL may be set. Each tenant of Microsoft has its own."""
_BRACED = re.compile(r"\{[^{}]*\}?|\}")
_PLACEHOLDERS = frozenset({"{domain}", "{local}"})
UNENCRYPTED = (
    "user name, password and mail travel unencrypted: use `tls: implicit` or `tls: starttls`"
)
POP3_FOLDERS = "POP3 has no folders: remove them, or use `protocol: imap`"
POP3_PUSH = "POP3 cannot push: remove it, or use `protocol: imap`"
FINGERPRINT_AND_CA = "the fingerprint replaces the check that `caFile` is for: `caFile` is not used"
IN_MANIFEST = "a secret stands in the manifest itself: move it out, to file, env or command"


def check(
    fields: Fields, *, allow_inline_secrets: bool = False, partial: bool = False
) -> Iterator[Finding]:
    """Yield the findings of all rules.

    `partial` means that missing fields are no error, because another manifest may provide them.
    """
    yield from _inline_secrets(fields, allow_inline_secrets)
    for path in _HOSTS:
        yield from _host(fields.text(*path), path)
    for path in _ADDRESSES:
        yield from _address(fields.text(*path), path)
    yield from _tls(fields)
    yield from _smtp(fields)
    yield from _oauth2(fields, partial=partial)
    yield from _imap_only(fields)
    yield from _lists(fields)
    yield from _placeholders(fields)
    yield from _default_elsewhere(fields)
    yield from provider_hints.hints(fields)


def _inline_secrets(fields: Fields, allowed: bool) -> Iterator[Finding]:
    severity = Severity.WARNING if allowed else Severity.ERROR
    for path in _SECRETS:
        if fields.has(*path, "value"):
            yield Finding((*path, "value"), "inline-secret", IN_MANIFEST, severity, key=True)


def _imap_only(fields: Fields) -> Iterator[Finding]:
    if fields.text(*_SOURCE, "protocol") != "pop3":
        return
    if fields.has(*_SOURCE, "folders"):
        yield Finding((*_SOURCE, "folders"), "imap-only", POP3_FOLDERS, key=True)
    if fields.is_set("spec", "collect", "push"):
        yield Finding(("spec", "collect", "push"), "imap-only", POP3_PUSH, key=True)


def unchecked(name: str) -> str:
    """Return the message about `fingerprint` or `caFile` with `tls: none`."""
    return f"{quoted(name)} checks nothing with `tls: none`: remove it, or use implicit or starttls"


def _tls(fields: Fields) -> Iterator[Finding]:
    checks = [name for name in ("fingerprint", "caFile") if fields.has(*_SOURCE, name)]
    host = fields.text(*_SOURCE, "host")
    if fields.text(*_SOURCE, "tls") == "none":
        for name in checks:
            yield Finding((*_SOURCE, name), "tls-option-without-tls", unchecked(name), key=True)
        if host and not domains.is_loopback(host):
            yield Finding((*_SOURCE, "tls"), "tls-none", UNENCRYPTED, Severity.WARNING)
    elif len(checks) > 1:
        yield Finding(
            (*_SOURCE, "fingerprint"),
            "fingerprint-and-ca",
            FINGERPRINT_AND_CA,
            Severity.WARNING,
            key=True,
        )


def _smtp(fields: Fields) -> Iterator[Finding]:
    host, path = fields.text(*_SMTP, "host"), (*_SMTP, "password")
    checks = [name for name in ("fingerprint", "caFile") if fields.has(*_SMTP, name)]
    if not fields.has(*_SMTP, "tls") or fields.text(*_SMTP, "tls") == "none":
        for name in checks:
            yield Finding((*_SMTP, name), "tls-option-without-tls", unchecked(name), key=True)
        if host and fields.has(*path) and not domains.is_loopback(host):
            yield Finding(
                path,
                "smtp-password-in-clear",
                "the password would travel unencrypted to another machine, "
                "so it is not sent: use `tls: starttls` or `tls: implicit`",
                key=True,
            )
    elif len(checks) > 1:
        yield Finding(
            (*_SMTP, "fingerprint"),
            "fingerprint-and-ca",
            FINGERPRINT_AND_CA,
            Severity.WARNING,
            key=True,
        )


def _oauth2(fields: Fields, *, partial: bool) -> Iterator[Finding]:
    path = (*_SOURCE, "oauth2")
    provider = fields.text(*path, "provider")
    if provider is None:
        return
    if not partial:
        yield from _oauth2_lacks(fields, provider)
    for key, own in (("tokenUrl", _OWN_TOKEN_URL), ("issuer", {"custom"})):
        url = fields.text(*path, key)
        if provider not in own and fields.has(*path, key):
            yield Finding(
                (*path, key),
                "token-url",
                f"{provider} has its own addresses: remove `{key}`, or use `provider: custom`",
                key=True,
            )
        elif url is not None and not _is_private(url):
            yield Finding(
                (*path, key),
                "token-url",
                f"{quoted(url)} is no https address: secrets are sent there",
            )
        elif url is not None and domains.is_neighbour(url, fields.text(*_SOURCE, "host")):
            yield Finding(
                (*path, key),
                "token-url",
                f"{quoted(url)} is on this machine, where other programs listen, "
                "and the mail server is not: name the provider's address",
            )


def _oauth2_lacks(fields: Fields, provider: str) -> Iterator[Finding]:
    path = (*_SOURCE, "oauth2")
    if (
        provider == "custom"
        and not fields.has(*path, "tokenUrl")
        and not fields.has(*path, "issuer")
    ):
        yield Finding(
            path,
            "token-url",
            "`provider: custom` needs `tokenUrl` or `issuer`: add one of them",
            key=True,
            lacks=("tokenUrl", "issuer"),
        )
    if not fields.has(*path, "clientId"):
        yield Finding(
            path,
            "oauth2-incomplete",
            "`clientId` is needed: register an application with the provider, and name it",
            key=True,
            lacks=("clientId",),
        )
    if not fields.has(*path, "refreshToken") and not fields.has(*path, "clientSecret"):
        yield Finding(
            path,
            "oauth2-incomplete",
            "`refreshToken` is needed, for an account; or `clientSecret`, for an "
            "application that may read the mailbox by itself",
            key=True,
            lacks=("refreshToken", "clientSecret"),
        )


def _is_private(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https"
            or (parts.scheme == "http" and domains.is_loopback(parts.hostname or ""))
        )
    except ValueError:
        return False


def _lists(fields: Fields) -> Iterator[Finding]:
    yield from _duplicates(fields.texts(*_SOURCE, "folders"), (*_SOURCE, "folders"), str)
    yield from _duplicates(fields.texts(*_DETECT, "from"), (*_DETECT, "from"), str.casefold)
    yield from _duplicates(
        fields.texts(*_DETECT, "mailboxes"), (*_DETECT, "mailboxes"), str.casefold
    )
    for index, domain in enumerate(fields.texts(*_DETECT, "from")):
        yield from _domain(domain, (*_DETECT, "from", index))
    to = fields.text(*_DETECT, "to")
    if to is not None:
        yield from _domain(to, (*_DETECT, "to"))


def _placeholders(fields: Fields) -> Iterator[Finding]:
    path = ("spec", "maildir", "path")
    for braced in _BRACED.findall(fields.text(*path) or ""):
        if braced not in _PLACEHOLDERS:
            yield Finding(
                path,
                "placeholder",
                f"{quoted(braced)} is no placeholder: use {{domain}} and {{local}}",
            )


def _default_elsewhere(fields: Fields) -> Iterator[Finding]:
    """Find a default recipient in a remote domain: mail without a known recipient would return to
    where it came from."""
    default, to = fields.text(*_DETECT, "default"), fields.text(*_DETECT, "to")
    if default is None or to is None:
        return
    domain = domains.to_unicode(default.rpartition("@")[2])
    remote = {domains.to_unicode(name) for name in fields.texts(*_DETECT, "from")}
    if domain in remote and domain != domains.to_unicode(to):
        yield Finding(
            (*_DETECT, "default"),
            "unreachable-default",
            f"{quoted(domain)} is a remote domain, from which "
            f"this collector takes mail away: name a mailbox of {quoted(to)}",
            Severity.WARNING,
        )


def _host(host: str | None, path: Path) -> Iterator[Finding]:
    if host is None:
        return
    try:
        domains.host_to_ascii(host)
    except ValueError as error:
        yield Finding(path, "host", f"{quoted(host)} is no host: {_host_mistake(host) or error}")


def _host_mistake(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        return "write the IPv6 address without brackets"
    if re.search(r"[^:]:[0-9]+$", host) and host.count(":") == 1:
        return "the port belongs in the field `port`"
    return None


def _address(address: str | None, path: Path) -> Iterator[Finding]:
    if address is not None:
        domain = address.rpartition("@")[2]
        yield from _domain(
            domain, path, "address", f"{quoted(address)} is no mail address: {quoted(domain)}"
        )


def _domain(
    domain: str, path: Path, rule: str = "domain", subject: str | None = None
) -> Iterator[Finding]:
    try:
        domains.to_ascii(domain)
    except ValueError as error:
        yield Finding(path, rule, f"{subject or quoted(domain)} is no domain: {error}")


def _duplicates(items: Sequence[str], path: Path, fold: Callable[[str], str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if fold(item) in seen:
            yield Finding(
                (*path, index),
                "duplicate-item",
                f"{quoted(item)} stands in this list already: remove it",
                Severity.WARNING,
            )
        seen.add(fold(item))
