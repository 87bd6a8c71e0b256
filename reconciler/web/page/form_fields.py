"""The fields of the form: those that everybody needs, in their order, and all others of the schema.

This module reads a manifest into the form's values, and a sent form into a manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from msgspec import Struct, field

from reconciler.web.page.form_values import UnreadableValue, typed_value
from reconciler.web.page.schema_fields import Keys, SchemaField, value_text

Values = dict[str, str]
"""The values of the form, by the names of its fields."""
Data = dict[str, Any]
"""A manifest as plain data."""

SSL, WHOM, PASSWORD = "ssl", "recipient", "password"  # names of fields
NAME = "metadata.name"
TITLE = "spec.title"
TEMPLATE = "spec.from"
PROVIDER = "spec.source.provider"
SERVER = "spec.source.host"
TYPE = "spec.source.protocol"
PORT = "spec.source.port"
TLS = "spec.source.tls"
LOGIN = "spec.source.username"
DEFAULT_MAILBOX = "spec.recipient.detect.default"
REMOTE_DOMAINS = "spec.recipient.detect.from"
LOCAL_DOMAIN = "spec.recipient.detect.to"
FORWARD_TO = "spec.recipient.forwardTo"
MODE = "spec.collect.mode"
INTERVAL = "spec.collect.interval"
DESTINATION = "spec.destination"
LIMIT = "spec.collect.limit"
ASKED = (TITLE, SERVER, TYPE, LOGIN, DEFAULT_MAILBOX, FORWARD_TO, MODE, INTERVAL, LIMIT)
"""The fields of the manifest that stand in the form itself."""
DETECT, FORWARD = "detect", "forward"
_DETECT = ("spec", "recipient", "detect")
_FORWARD_TO = ("spec", "recipient", "forwardTo")
_SECRET = ("spec", "source", "password")


class FormReading(Struct):
    """A manifest that was read from a form. `problems` are by the names of fields."""

    data: Data
    problems: dict[str, str] = field(default_factory=dict)


def shown_values(fields: SchemaField, data: Data, inherited: Data) -> Values:
    """Return the form's values of a manifest. `inherited`: the values of its template, which the
    manifest does not declare itself. Fields under "More" stay empty then."""
    values: Values = {}
    for leaf in fields.leaves():
        value = at(data, leaf.keys)
        if value is None and leaf.name in ASKED:
            value = at(inherited, leaf.keys)
            value = leaf.default if value is None else value
        values[leaf.name] = value_text(value, leaf.shape)
    source = at(data, ("spec", "source")) or {}
    tls = source.get("tls") or at(inherited, ("spec", "source", "tls"))
    values[SSL] = "" if tls == "none" else "on"
    whom = at(data, ("spec", "recipient")) or at(inherited, ("spec", "recipient")) or {}
    values[WHOM] = DETECT if "detect" in whom else FORWARD
    values[PASSWORD] = ""
    return values


def as_sent(sent: Mapping[str, str]) -> Values:
    """Return what a form sent: without spaces around, and with plain line ends. A password keeps
    its spaces. A checkbox that is off is not sent."""
    values = {
        name: text.rstrip("\r\n") if name == PASSWORD else text.replace("\r\n", "\n").strip()
        for name, text in sent.items()
    }
    return {SSL: "", **values}


def read_form(fields: SchemaField, sent: Values, loaded: Values, present: Data) -> FormReading:
    """Return the present manifest with the fields that somebody changed in the form: where what was
    `sent` differs from what was `loaded`. So two people's changes of different fields meet."""
    found = FormReading(deepcopy(present))
    for leaf in fields.leaves():
        text = sent.get(leaf.name, loaded.get(leaf.name, ""))
        if text == loaded.get(leaf.name, ""):
            continue
        try:
            put(found.data, leaf.keys, typed_value(text, leaf))
        except UnreadableValue as wrong:
            found.problems[leaf.name] = str(wrong)
    _read_tls(found.data, sent, loaded)
    _read_recipient(found.data, sent, loaded)
    return found


def _read_tls(data: Data, sent: Values, loaded: Values) -> None:
    """Apply "Use SSL", unless the field under "More" says it more exactly."""
    chosen = sent.get(TLS, loaded[TLS])
    if sent[SSL] == loaded[SSL] or chosen != loaded[TLS]:
        return
    if not sent[SSL]:
        put(data, tuple(TLS.split(".")), "none")
    else:
        put(data, tuple(TLS.split(".")), "implicit" if loaded[TLS] == "" else None)


def _read_recipient(data: Data, sent: Values, loaded: Values) -> None:
    """Keep the one of the two ways that was chosen, and derive the domains where they were not
    said."""
    whom = sent.get(WHOM, loaded[WHOM])
    if whom == FORWARD:
        put(data, _DETECT, None)
        if whom != loaded[WHOM] and sent.get(FORWARD_TO):
            put(data, _FORWARD_TO, sent[FORWARD_TO])
        return
    if whom == loaded[WHOM] and at(data, _DETECT) is None:
        return  # the template says it all
    put(data, _FORWARD_TO, None)
    if at(data, (*_DETECT, "from")) is None and (domain := remote_domain(sent)):
        put(data, (*_DETECT, "from"), [domain])
    if at(data, (*_DETECT, "to")) is None and (domain := _domain(sent.get(DEFAULT_MAILBOX, ""))):
        put(data, (*_DETECT, "to"), domain)


def remote_domain(sent: Mapping[str, str]) -> str:
    """Return the domain of the account: that of the login, else of the server."""
    if found := _domain(sent.get(LOGIN, "")):
        return found
    first, _, rest = sent.get(SERVER, "").partition(".")
    is_name = "." in rest and any(letter.isalpha() for letter in rest)
    return rest if is_name and first.lower() in _SERVICES else ""


_SERVICES = frozenset({"imap", "imap4", "pop", "pop3", "mail", "mx", "mx1", "smtp", "webmail"})
"""First labels of servers' names, before the mail domain."""


def _domain(address: str) -> str:
    return address.rpartition("@")[2].strip() if "@" in address else ""


def with_password(data: Data, file: str) -> Data:
    """Return a manifest whose password is in this file."""
    changed = deepcopy(data)
    put(changed, _SECRET, {"file": file})
    put(changed, ("spec", "source", "oauth2"), None)
    return changed


def password_file(data: Data) -> str:
    """Return where a manifest says that the password is kept; "" for none or elsewhere."""
    found = at(data, (*_SECRET, "file"))
    return found if isinstance(found, str) else ""


def has_login_secret(data: Data) -> bool:
    """Return whether a manifest says what to log in with."""
    source = at(data, ("spec", "source")) or {}
    return bool(source.get("password") or source.get("oauth2"))


def in_order(data: Data, fields: SchemaField) -> Data:
    """Return a new manifest with its fields in the schema's order."""
    result: Data = {key: data[key] for key in ("apiVersion", "kind") if key in data}
    result |= _ordered(data, fields)
    return result


def _ordered(data: Data, group: SchemaField) -> Data:
    found: Data = {}
    for below in group.fields:
        key = below.keys[-1]
        if key in data:
            value = data[key]
            is_group = below.shape == "group" and isinstance(value, dict)
            found[key] = _ordered(value, below) if is_group else value
    return found | {key: data[key] for key in data if key not in found}


def at(data: Any, keys: Keys) -> Any:
    """Return the value at a path; None where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def put(data: Data, keys: Keys, value: Any) -> None:
    """Set the value at a path; None removes it, and the mappings that are empty then."""
    *above, last = keys
    places: list[Data] = [data]
    for key in above:
        below = places[-1].get(key)
        if not isinstance(below, dict):
            if value is None:
                return
            below = places[-1][key] = {}
        places.append(below)
    if value is not None:
        places[-1][last] = value
        return
    places[-1].pop(last, None)
    for place, key in zip(reversed(places[:-1]), reversed(above), strict=True):
        if place[key] == {}:
            del place[key]


def under_more(group: SchemaField) -> Iterator[SchemaField]:
    """Yield the fields and then the groups under "More", without those that the form asks for
    anyway."""
    yield from (one for one in group.fields if one.shape != "group" and one.name not in ASKED)
    for one in group.fields:
        if one.shape == "group" and (below := tuple(under_more(one))):
            yield SchemaField(one.keys, "group", one.title, one.description, fields=below)
