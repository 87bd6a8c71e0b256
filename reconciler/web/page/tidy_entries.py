"""Bring entries that people type or paste into the form that the manifest needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.web.page.form_fields import (
    DEFAULT_MAILBOX,
    FORWARD_TO,
    LOGIN,
    PORT,
    SERVER,
    SSL,
    TYPE,
    Values,
)
from reconciler.web.page.schema_fields import SchemaField

_ADDRESSES = (LOGIN, DEFAULT_MAILBOX, FORWARD_TO)
_SERVER = re.compile(
    r"(?:(?P<type>imap|pop3|pop)(?P<ssl>s?)://)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\s/@:?#\[\]]+)(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
"""A server as a mail program or a browser writes it: imaps://mail.example.org:993/."""
_PART = re.compile(r"(\d{1,18})\s*([^\W\d_]+)\.?\s*")
_WORDS = {
    "s": "s sec secs second seconds с сек секунда секунды секунд",
    "m": "m min mins minute minutes м мин минута минуты минут",
    "h": "h hr hrs hour hours ч час часа часов",
    "d": "d day days д дн день дня дней",
    "B": "b б",
    "kB": "kb кб",
    "MB": "mb мб",
    "GB": "gb гб",
    "KiB": "kib",
    "MiB": "mib",
    "GiB": "gib",
}
_UNITS: Mapping[str, str] = {word: unit for unit, words in _WORDS.items() for word in words.split()}
"""Units by the words that people write for them, in lower case."""


def tidy(sent: Values, loaded: Values, fields: SchemaField) -> Values:
    """Return the sent values, with the changed ones in the form that the manifest needs. A value
    that cannot be read stays as it is, and a rule reports it."""
    found = dict(sent)
    for field in fields.leaves():
        text = sent.get(field.name)
        if text is None or text == loaded.get(field.name, ""):
            continue
        if field.unit and field.shape == "text":
            found[field.name] = _with_units(text, field.unit)
        elif field.name in _ADDRESSES:
            found[field.name] = re.sub(r"^mailto:\s*", "", text, flags=re.IGNORECASE)
        elif field.name == SERVER:
            found |= _server(text, sent)
    return found


def _with_units(text: str, units: str) -> str:
    """Return "1 hour 30 min" as 1h30m, where these units may be written."""
    allowed = re.findall(r"\w+", units)
    parts = _PART.findall(text)
    if _PART.sub("", text) or any(_UNITS.get(word.lower()) not in allowed for _, word in parts):
        return text
    return "".join(f"{int(number)}{_UNITS[word.lower()]}" for number, word in parts)


def _server(text: str, sent: Values) -> Values:
    """Return the fields that a server's address fills in."""
    read = _SERVER.fullmatch(text)
    if read is None or (read["port"] and sent.get(PORT, read["port"]) not in {"", read["port"]}):
        return {}
    found = {SERVER: read["host"].strip("[]")}
    if read["port"]:
        found[PORT] = read["port"]
    if read["type"]:
        found[TYPE] = "imap" if read["type"].lower() == "imap" else "pop3"
    if read["ssl"]:
        found[SSL] = "on"
    return found
