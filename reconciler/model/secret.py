"""A secret that does not print itself, and the redaction of texts that may quote one."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable

REDACTED = "[redacted]"


class Secret:
    """Holds a password or token. Only `reveal` gives it out, to be called where it goes onto the
    wire."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret()"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Replace each secret in `text`, also in base64, quoted, or as Python or URL escapes (hazard
    S1)."""
    for form in sorted(
        {form for secret in secrets for form in _forms(secret.reveal())}, key=len, reverse=True
    ):
        text = text.replace(form, REDACTED)
    return text


def excerpt(text: str, secrets: Iterable[Secret], length: int) -> str:
    """The first `length` letters of `text` with its secrets replaced. Only what is shown is looked
    through, and a bit more, so that no secret escapes that is cut at the end."""
    known = list(secrets)
    longest = max((len(form) for secret in known for form in _forms(secret.reveal())), default=0)
    looked = length + longest
    while looked < len(text) and len(redact(text[:looked], known)) < length + longest:
        looked *= 2
    return redact(text[:looked], known)[:length]


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
