"""Find secrets, and parts of them, in what a stranger said (hazard S1).

A server may quote a password in an error, cut it, or send it back in another form. So every part of
`PART` octets or more is found in each form: as it is, quoted, in base64, in hex.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator

from reconciler.model.secret import REDACTED, Secret, excerpt

PART = 6
"""Octets of the shortest part of a secret that is found. A shorter secret is found as a whole."""
_HINT = 4
"""Octets of a part by which a text is searched first: any part has one at a multiple of `_STEP`."""
_STEP = PART - _HINT + 1
_WHOLE = 4
"""Octets of the shortest secret that is looked for in base64 and in hex as well."""
_MARK = REDACTED.encode()
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


class SecretParts:
    """Replaces what belongs to a secret. ASCII letters match in either case."""

    __slots__ = ("_hints", "_parts", "_short")

    def __init__(self, secrets: Iterable[Secret], more: Iterable[bytes] = ()) -> None:
        """`more`: texts that count as secrets just as they are, such as proofs."""
        forms = {form.lower() for secret in secrets for form in _forms(secret.reveal())}
        forms |= {text.lower() for text in more}
        self._parts = {form[at : at + PART] for form in forms for at in range(len(form) - PART + 1)}
        self._hints = {part[at : at + _HINT] for part in self._parts for at in range(_STEP)}
        self._short = sorted((form for form in forms if 0 < len(form) < PART), key=len)[::-1]

    def hide(self, text: bytes) -> bytes:
        """Return `text` with each part of a secret replaced by `REDACTED`."""
        lowered = text.lower()
        found: list[tuple[int, int]] = []
        if not self._hints.isdisjoint(
            [lowered[at : at + _HINT] for at in range(0, len(lowered) - _HINT + 1, _STEP)]
        ):
            found += [
                (at, at + PART)
                for at in range(len(lowered) - PART + 1)
                if lowered[at : at + PART] in self._parts
            ]
        for form in self._short:
            at = lowered.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = lowered.find(form, at + 1)
        return _replaced(text, found) if found else text


def foreign_words(text: str, secrets: Iterable[Secret], length: int) -> str:
    """Return the first `length` characters of what a server said, without parts of secrets."""
    known = list(secrets)
    shown = excerpt(text, known, length).encode("utf-8", "surrogatepass")
    return SecretParts(known).hide(shown).decode("utf-8", "replace")[:length]


def _replaced(text: bytes, found: list[tuple[int, int]]) -> bytes:
    pieces: list[bytes] = []
    end = 0
    for begin, stop in sorted(found):
        if begin > end or not pieces:
            pieces += [text[end:begin], _MARK]
        end = max(end, stop)
    return b"".join([*pieces, text[end:]])


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode("utf-8", "surrogatepass")
    plain = {
        value,
        value.replace("\\", "\\\\").replace('"', '\\"'),
        repr(value)[1:-1],
        repr(raw)[2:-1],
        json.dumps(value)[1:-1],
        value.translate(_IN_HTML),
        urllib.parse.quote(value, safe="", errors="replace"),
        urllib.parse.quote_plus(value, errors="replace"),
    }
    yield from (form.encode("utf-8", "surrogatepass") for form in plain)
    if not value.isascii():
        yield from (value.encode(encoding, "replace") for encoding in ("latin-1", "cp1251"))
    if len(raw) >= _WHOLE:
        yield raw.hex().encode()
        yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Return what base64 makes of the octets, wherever they begin in what is encoded."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        # the first and the last character depend on what stands beside the secret
        sure = encoded[(0, 2, 3)[before] : len(encoded) - ((len(raw) + before) % 3 > 0)]
        if len(sure) >= PART or not before:
            yield sure
            yield sure.translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
