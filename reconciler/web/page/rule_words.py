"""Sentences of rules for readers of other languages than English.

A rule's own message quotes the value, and is English. Where a reader has another language, one of
these sentences stands at the field instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.web.page.page_translation import Language

RULES: Mapping[str, str] = {
    "address": "This is no mail address: write it like user@example.org.",
    "choice": "This is none of the words that are allowed here.",
    "control-character": "Write it in one line, without control characters.",
    "domain": "This is no domain: write it like example.org, without @.",
    "fingerprint": "This is no SHA-256 fingerprint: write 64 hexadecimal digits.",
    "fingerprint-and-ca": "Keep one of the two: the fingerprint or the CA's file.",
    "header": "This is no name of a header: write it like X-Envelope-To, without the colon.",
    "host": "Write a domain name or an IP address, without port, user or path.",
    "imap-only": "Only IMAP has this: choose IMAP, or leave this empty.",
    "interval": "Write an interval from 5s to 24h, such as 90s, 5m, 1h30m or 1d.",
    "local-part": "Write what stands before the @ of an address, without spaces.",
    "missing-key": "This is missing.",
    "name": "Use a-z, 0-9 and -, and begin and end with a letter or a digit.",
    "out-of-range": "This number is too small or too large.",
    "policy-ca-file": "The policy does not allow this file.",
    "policy-command": "The policy does not allow this program.",
    "policy-env": "The policy does not allow this variable.",
    "policy-host": "The policy does not allow this server.",
    "policy-secret-file": "The policy does not allow a secret in this place.",
    "size": "Write a size such as 50MiB, 300kB or 1000B.",
    "timeout": "Write a time from 10s to 10m, such as 90s, 2m or 1m30s.",
    "too-long": "This is too long.",
    "unknown-alias": "This alias leads to no mailbox.",
    "unknown-destination": "There is no Destination of this name.",
    "unknown-template": "There is no Template of this name.",
    "variable": "Write the name of a variable, such as MAIL_PASSWORD.",
}


_IN_ENGLISH = frozenset({"imap-only", "missing-key", "unknown-destination", "unknown-template"})
"""Rules whose own messages speak of the manifest's keys: their sentences stand in English too."""


def rule_words(rule: str, language: Language) -> str:
    """Return a sentence of RULES in the reader's language; "" where the rule's own message serves
    better."""
    if language.code == "en" and rule not in _IN_ENGLISH:
        return ""
    return language.gettext(RULES.get(rule, "")) if rule in RULES else ""
