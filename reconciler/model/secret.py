"""A secret that does not print itself, and the redaction of texts that may quote one."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from collections.abc import Iterable

REDACTED = "[redacted]"


class Secret:
    """A password or token. Only `reveal` returns it: call that where it is sent."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def digest(self) -> str:
        """Return the secret's SHA-256 in hex, to compare secrets without keeping them."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def __repr__(self) -> str:
        return "Secret()"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return `text` with each secret replaced by `REDACTED` (hazard S1).

    Secrets are also found in base64, in quotes, and with the escapes of Python or URLs.
    """
    for form in sorted(
        {form for secret in secrets for form in _forms(secret.reveal())}, key=len, reverse=True
    ):
        text = text.replace(form, REDACTED)
    return text


def excerpt(text: str, secrets: Iterable[Secret], length: int) -> str:
    """Return the first `length` characters of `text` with its secrets replaced.

    In a long text, only that part and a little more is searched, because a secret may extend
    beyond its end.
    """
    known = list(secrets)
    longest = max((len(form) for secret in known for form in _forms(secret.reveal())), default=0)
    searched = length + longest
    while searched < len(text) and len(redact(text[:searched], known)) < length + longest:
        searched *= 2
    return redact(text[:searched], known)[:length]


def _forms(value: str) -> set[str]:
    if not value:
        return set()
    raw = value.encode()
    plain = {
        value,
        value.replace("\\", "\\\\").replace('"', '\\"'),
        repr(value)[1:-1],
        repr(raw)[2:-1],
    }
    encoded = {urllib.parse.quote(value, safe=""), base64.b64encode(raw).decode().rstrip("=")}
    return {form for form in plain | encoded if form}
