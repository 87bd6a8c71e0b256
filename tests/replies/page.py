"""docs/providers.md, made from the table of providers and the table of replies.

`python -m tests.replies.page` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.model.known_providers import PROVIDERS, Provider, ProviderServer
from reconciler.model.refusal_meaning import Meaning
from reconciler.replies.refusals import advise
from reconciler.replies.reply_meaning import understand
from reconciler.replies.sourced_replies import REPLIES, SourcedReply

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
_TOP = """# Providers

How to prepare an account for collection, and what to write in the manifest. With `provider`, the
server, its port and TLS are known; fields beside it come before them. `mailcollector add NAME
--provider gmail …` writes such a manifest and says how to prepare the account.

This page is made from the tables of the program (`reconciler/model/known_providers.py` and
`reconciler/replies/sourced_replies.py`) by `make fix`. Below each provider are the pages with its
facts, and its words for a refused login. Beside them is the sentence that `get`, `describe` and
`check` show for it.
"""
_SERVERS = """## Servers of any provider

These replies are understood from any server. A response code with one meaning (`LIMIT`, `INUSE`,
`OVERQUOTA`, `EXPIRED`, `PRIVACYREQUIRED`, `LOGIN-DELAY`, `IN-USE`) comes before the words. After
`AUTHENTICATIONFAILED`, `CONTACTADMIN`, `SYS/PERM` or no code, more specific words come first. `*`
stands for any text in between. Where a reply names a time, the next login waits that long, at most
a day. Other replies are understood by the ideas in a clause, in any language
(`reconciler/replies/vocabulary.py`): *IMAP* and *not allowed*, *password* and *expired*, *address*
and *blocked*. Quoted texts and names of folders are not read.

| it says | it means | seen in |
|---|---|---|"""
_WAYS = {
    "password": "the account's own password",
    "app-password": "an app password",
    "oauth2": "OAuth2",
}


def rendered() -> str:
    """The whole page."""
    sections = [
        _TOP,
        *("\n".join(_section(provider)) for provider in PROVIDERS),
        "\n".join(_servers()),
    ]
    return "\n".join(sections)


def _section(provider: Provider) -> Iterator[str]:
    yield f"## {provider.title}\n"
    for step, sentence in enumerate(provider.prepare, 1):
        yield f"{step}. {sentence}"
    if provider.prepare:
        yield ""
    yield "```yaml"
    yield "source:"
    yield f"  provider: {provider.name}"
    yield f"  protocol: {'imap' if provider.imap else 'pop3'}" + (
        "                # or pop3" if provider.imap and provider.pop3 else ""
    )
    yield f"  username: {_USERNAMES[provider.username]}"
    if provider.takes_passwords:
        yield "  password: {file: ../secrets/sales}"
    else:
        token = "{file: ../secrets/sales.token}"
        yield f"  oauth2: {{provider: {provider.oauth2}, clientId: …, refreshToken: {token}}}"
    yield "```\n"
    servers = filter(None, (provider.imap, provider.pop3))
    yield f"- Servers: {'; '.join(map(_shown, servers))}."
    yield f"- Logs in with {' or '.join(_WAYS[way] for way in provider.logins)}."
    if provider.connections:
        yield (
            "- Limits of ours, unless `--host-connections` and `--host-logins-per-minute` say "
            f"otherwise: {provider.connections} sessions at once, {provider.logins_per_minute} "
            "logins a minute."
        )
    yield from (f"- {note}" for note in provider.notes)
    yield f"- Sources: {', '.join(f'<{source}>' for source in provider.sources)}."
    told = list(_told(provider))
    if told:
        yield "\n| it says | you read |"
        yield "|---|---|"
        yield from told
    yield ""


_USERNAMES = {
    "address": "sales@example.org",
    "local part": "sales                    # what stands before the @",
    "account name": "sales",
}


def _shown(server: ProviderServer) -> str:
    return f"`{server.host}:{server.port}` (tls: {server.tls})"


def _told(provider: Provider) -> Iterator[str]:
    for reply in REPLIES:
        if reply.provider == provider.name or (not reply.provider and _is_its_own(provider, reply)):
            told = f"[{_cell(reply.says)}]({reply.source})" if reply.source else _cell(reply.says)
            yield f"| {told} | {_cell(_advice(provider, reply))} |"


def _is_its_own(provider: Provider, reply: SourcedReply) -> bool:
    return (
        reply.meaning in provider.advice
        and reply.meaning is not Meaning.WRONG_PASSWORD
        and any(word in reply.source for word in _WORDS.get(provider.name, ()))
    )


_WORDS = {
    "gmail": ("google.com",),
    "outlook": ("holon-run/uxc",),
    "microsoft365": ("basic-authentication",),
    "mailru": ("help.mail.ru", "thunderbird-android", "print-designer"),
    "rambler": ("help.rambler.ru",),
    "gmx": ("hilfe.gmx.net",),
    "webde": ("hilfe.web.de",),
    "fastmail": ("fastmail.help",),
    "icloud": ("support.apple.com",),
    "zoho": ("zoho.com",),
    "qq": ("mail.qq.com",),
    "o2pl": ("pomoc.o2.pl",),
}


def _advice(provider: Provider, reply: SourcedReply) -> str:
    found = understand(reply.says.replace("*", "x"))
    server = provider.imap or provider.pop3
    assert found is not None
    assert server is not None
    return advise(found, server.host, "imap")


def _servers() -> Iterator[str]:
    yield _SERVERS
    for reply in REPLIES:
        if not reply.provider:
            seen = f"<{reply.source}>" if reply.source else "plain words"
            yield f"| {_cell(reply.says)} | {_name(reply.meaning)} | {seen} |"
    yield "\n| it means | you read, where the provider has no page of its own |"
    yield "|---|---|"
    for meaning in Meaning:
        advice = meaning.value.replace("{protocol}", "IMAP")
        yield f"| {_name(meaning)} | {_cell(advice)} |"
    yield ""


def _name(meaning: Meaning) -> str:
    return meaning.name.lower().replace("_", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace(" * ", " \\* ")


if __name__ == "__main__":
    PAGE.write_text(rendered(), encoding="utf-8")
