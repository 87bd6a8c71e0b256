"""Names of the fields under "More". A field that is not listed here has the schema's title."""

from __future__ import annotations

from reconciler.web.page.page_translation import Language
from reconciler.web.page.schema_fields import SchemaField

_LABELS = {
    "metadata": "Name and labels",
    "spec": "This collector",
    "spec.from": "Template",
    "spec.source": "Account on the server",
    "spec.source.tls": "Encryption",
    "spec.source.address": "The account's own address",
    "spec.source.caFile": "File of the CA",
    "spec.source.fingerprint": "Fingerprint of the certificate",
    "spec.source.timeout": "Longest silence",
    "spec.source.password": "Where the password is kept",
    "spec.source.password.file": "Secret file",
    "spec.source.oauth2": "OAuth2",
    "spec.collect.push": "Push (IDLE)",
    "spec.collect.maxMessageSize": "Largest message",
    "spec.recipient.detect.from": "Remote domains",
    "spec.recipient.detect.to": "Local domain",
    "spec.recipient.detect.mailboxes": "Local mailboxes",
    "spec.recipient.detect.header": "Header that decides alone",
    "spec.recipient.detect.stripPrefix": "Prefix to remove",
}
_ENDS = {"file": "File", "env": "Environment variable", "command": "Program"}
"""Names by the last key, in a group that says where a secret is kept."""
SHORT = {
    "spec.source.protocol": {"imap": "IMAP", "pop3": "POP3"},
    "spec.source.tls": {"implicit": "TLS", "starttls": "STARTTLS", "none": "—"},
}


def label(field: SchemaField, language: Language) -> str:
    """Return the name of a field or group, in the reader's language."""
    known = _LABELS.get(field.name) or _ENDS.get(field.keys[-1] if len(field.keys) > 3 else "")
    return language.gettext(known or field.title)


def schema_text(text: str, language: Language) -> str:
    """Return a text of the schema in the reader's language, where there is a translation."""
    return language.gettext(text) if text else ""
