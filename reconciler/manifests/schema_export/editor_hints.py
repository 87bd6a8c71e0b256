"""Hints in the JSON Schema for people who write manifests in an editor: titles, descriptions, the
meaning of each word, examples, snippets, and the messages of `validate`.

Any other validator takes no notice of these keywords (VS Code's and yaml-language-server's) and
judges the same. Every model and field of `model.spec` gets them from what stands in its source;
the tables below only say more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from msgspec import Struct

from reconciler.manifests.checks import field_rules, schema_messages
from reconciler.manifests.diagnostics import quoted
from reconciler.manifests.schema_export.description_parser import FieldText, field_texts
from reconciler.model import known_providers
from reconciler.model.spec import ManifestModel

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


Schema = dict[str, Any]

KINDS = {
    "MailCollector": "mail is collected from one remote account",
    "Destination": "where collected mail goes",
    "Template": "what many collectors have in common; they name it in `from`",
}

_TITLES = {
    "CollectorSpec": "Collector",
    "DerivedSpec": "Collector with a template",
    "TemplateSpec": "Template",
    "DestinationSpec": "Destination",
    "SourceSpec": "Account on the server",
    "CollectSpec": "What is collected, and when",
    "RecipientSpec": "Whom the mail is for",
    "Detect": "Detecting the recipient",
    "SecretRef": "Where a secret lives",
    "OAuth2": "OAuth2",
    "MaildirSpec": "Maildirs",
    "LmtpSpec": "LMTP server",
    "SmtpSpec": "SMTP server",
}
"""Titles by the name of a model, where that name alone is unclear."""

_SNIPPETS: dict[str, Any] = {
    "SourceSpec": {
        "protocol": "${1:imap}",
        "host": "${2:imap.example.org}",
        "username": "${3:sales@example.org}",
        "password": {"file": "${4:../secrets/sales}"},
    },
    "CollectSpec": {"mode": "${1:new-keep}", "interval": "${2:5m}"},
    "RecipientSpec": {"forwardTo": "${1:sales@example.net}"},
    "Detect": {"from": ["${1:example.org}"], "to": "${2:example.net}"},
    "SecretRef": {"file": "${1:../secrets/sales}"},
    "OAuth2": {
        "provider": "${1:google}",
        "clientId": "$2",
        "refreshToken": {"file": "${3:../secrets/sales.token}"},
    },
    "MaildirSpec": {"path": "${1:/var/mail/{domain\\}/{local\\}}"},
    "LmtpSpec": {"socket": "${1:/run/dovecot/lmtp}"},
    "SmtpSpec": {"host": "${1:127.0.0.1}", "port": "^${2:25}"},
    "Metadata": {"name": "${1:sales}"},
}
"""The text that an editor inserts for a model, by the model's name."""
_SNIPPETS["PartialSourceSpec"] = {"username": "${1:sales@example.org}"}
_SNIPPETS |= {f"Partial{name}": _SNIPPETS[name] for name in ("RecipientSpec", "Detect", "OAuth2")}
_SNIPPETS["DerivedSpec"] = {"from": "${1:office}", "source": {"username": "${2:sales@example.org}"}}
_SNIPPETS["CollectorSpec"] = {
    "source": _SNIPPETS["SourceSpec"],
    "recipient": {"forwardTo": "${5:sales@example.net}"},
}
_SNIPPETS["DestinationSpec"] = {
    "default": "^${1:true}",
    "maildir": {"path": "${2:/var/mail/{domain\\}/{local\\}}"},
}
_SNIPPETS["TemplateSpec"] = {
    "source": {
        "protocol": "${1:imap}",
        "host": "${2:imap.example.org}",
        "password": {"file": "${3:../secrets/{name\\}}"},
    }
}


class EditorHint(Struct, frozen=True):
    """Where a mapping is as `when` says, its field `field` (or one below it) is marked with
    `message`."""

    when: Schema
    field: tuple[str, ...]
    message: str


def _is(key: str, value: Any) -> Schema:
    return _has({key: {"const": value}})


def _has(fields: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": dict(fields), "required": list(fields)}


_ELSEWHERE = {"type": "string", "not": {"pattern": r"^(localhost|127\.|::1$)"}}
_UNENCRYPTED = _has({"tls": {"const": "none"}, "host": _ELSEWHERE})
_POP3 = _is("protocol", "pop3")
_SOURCE_HINTS = (
    EditorHint(_POP3, ("folders",), field_rules.POP3_FOLDERS),
    EditorHint(_is("tls", "none"), ("fingerprint",), field_rules.unchecked("fingerprint")),
    EditorHint(_is("tls", "none"), ("caFile",), field_rules.unchecked("caFile")),
    EditorHint(
        _has({"caFile": {}, "tls": {"enum": ["implicit", "starttls"]}}),
        ("fingerprint",),
        field_rules.FINGERPRINT_AND_CA,
    ),
    EditorHint(
        {**_has({"caFile": {}}), "not": _has({"tls": {}})},
        ("fingerprint",),
        field_rules.FINGERPRINT_AND_CA,
    ),
    EditorHint(_UNENCRYPTED, ("tls",), field_rules.UNENCRYPTED),
)
_PUSH_HINTS = (
    EditorHint(
        _has({"source": _POP3, "collect": _is("push", True)}),
        ("collect", "push"),
        field_rules.POP3_PUSH,
    ),
)
HINTS: Mapping[str, tuple[EditorHint, ...]] = {
    "SourceSpec": _SOURCE_HINTS,
    "PartialSourceSpec": _SOURCE_HINTS,
    "CollectorSpec": _PUSH_HINTS,
    "DerivedSpec": _PUSH_HINTS,
    "TemplateSpec": _PUSH_HINTS,
    "SecretRef": (EditorHint({}, ("value",), field_rules.IN_MANIFEST),),
}
"""Rules of `manifests.checks.field_rules` that the schema does not enforce."""


def title(model: str) -> str:
    """Return a model's title for people."""
    plain = model.removeprefix("Partial")
    return (
        _TITLES.get(model)
        or _TITLES.get(plain)
        or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain.removesuffix("Spec"))
    )


def add_editor_hints(model: type[ManifestModel], shape: Schema) -> None:
    """Adapt pydantic's schema of a model for editors, and remove what validators treat
    differently."""
    name = model.__name__
    shape["title"] = title(name)
    shape.pop("description", None)  # editors would show it instead of the field's
    for field, text in field_texts(model).items():
        key = str(model.model_fields[field].alias)
        shape["properties"][key] = _field(
            key, shape["properties"][key], text, _model_of(model.model_fields[field])
        )
    needed = [required(shape.pop("required"))] if "required" in shape else []
    conditions = [*_with_a_provider(needed[0]["required"])] if name == "SourceSpec" else needed
    keys = model.exclusive()
    if model.exactly_one:
        conditions.append(_none_of(keys))
    dependencies: dict[str, Any] = {
        key: _excluded(key, keys[index + 1 :]) for index, key in enumerate(keys[:-1])
    }
    dependencies |= {
        key: [other for other in model.together if other != key] for key in model.together
    }
    if dependencies:
        shape["dependencies"] = dependencies
    for hint in HINTS.get(name, ()):
        if hint.when:
            conditions.append(_hinted(hint))
        else:
            shape["properties"][hint.field[0]]["deprecationMessage"] = hint.message
    if conditions:
        shape["allOf"] = conditions
    if name == "SecretRef":
        shape["errorMessage"] = f"A secret is a mapping: {schema_messages.REFERENCE}"


def snippets(model: type[BaseModel]) -> list[Schema]:
    """Return the snippets that an editor offers for such a mapping."""
    name = model.__name__
    return (
        [
            {
                "label": f"{title(name)} …",
                "description": "The fields that are needed",
                "body": _SNIPPETS[name],
            }
        ]
        if name in _SNIPPETS
        else []
    )


def manifests() -> list[Schema]:
    """Return the snippets for the beginning of a file."""
    return [
        {
            "label": f"{title(model)} …",
            "description": KINDS[kind],
            "body": {
                "apiVersion": "mailcollector/v1",
                "kind": kind,
                "metadata": {"name": f"${{8:{name}}}"},
                "spec": _SNIPPETS[model],
            },
        }
        for kind, model, name in (
            ("MailCollector", "CollectorSpec", "sales"),
            ("Destination", "DestinationSpec", "local"),
            ("Template", "TemplateSpec", "office"),
        )
    ]


def required(keys: Iterable[str]) -> Schema:
    """Return the condition on required keys, apart from `properties`. Otherwise editors would first
    offer these keys alone."""
    return {"properties": dict.fromkeys(keys, True), "required": list(keys)}


def _with_a_provider(keys: Iterable[str]) -> Iterator[Schema]:
    """Add that a known provider replaces protocol and host. It may lack one of the protocols."""
    preset = ("protocol", "host")
    yield required([key for key in keys if key not in preset])
    yield {"if": {"properties": {"provider": False}}, "then": required(preset)}
    yield {
        "if": {
            "properties": {"provider": {"enum": list(known_providers.IMAP_ONLY)}, "host": False},
            "required": ["provider"],
        },
        "then": {
            "properties": {
                "protocol": {"enum": ["imap"], "errorMessage": "this provider has no POP3"}
            }
        },
    }


def _none_of(keys: Iterable[str]) -> Schema:
    """Return the condition that at least one of these keys is present."""
    first, *_ = keys
    alternatives = " or ".join(quoted(key) for key in keys if key != "value")
    return {
        "if": {"properties": dict.fromkeys(keys, False)},
        "then": {
            "properties": {first: True},
            "required": [first],
            "errorMessage": f"{alternatives} is missing: add it",
        },
    }


def _excluded(key: str, others: Iterable[str]) -> Schema:
    return {
        "properties": dict.fromkeys(others, False),
        "errorMessage": f"{quoted(key)} excludes this: keep one of the two",
    }


def _hinted(hint: EditorHint) -> Schema:
    marked: Schema = {"deprecationMessage": hint.message}
    for key in reversed(hint.field):
        marked = {"type": "object", "properties": {key: marked}}
    return {"if": hint.when, "then": marked}


def _model_of(field: FieldInfo) -> type[ManifestModel] | None:
    parts = (field.annotation, *get_args(field.annotation))
    return next(
        (part for part in parts if isinstance(part, type) and issubclass(part, ManifestModel)), None
    )


def _field(key: str, schema: Schema, text: FieldText, model: type[ManifestModel] | None) -> Schema:
    """Return the schema of a field. A model's schema is put into `allOf`, because draft 7 ignores
    keywords beside `$ref`."""
    more = []
    if model and "$ref" in schema:
        schema = {"allOf": [{"$ref": schema["$ref"]}]}
        if offered := snippets(model):
            schema["defaultSnippets"] = offered
        more += [" ".join((model.__doc__ or "").split())]
    else:
        _say(key, schema)
        more += [f"Default: `{_written(schema['default'])}`"] if "default" in schema else []
    schema["description"] = text.text
    schema["markdownDescription"] = "\n\n".join(dict.fromkeys([text.text, *filter(None, more)]))
    if text.meanings:
        schema["enumDescriptions"] = [text.meanings[word] for word in schema["enum"]]
    if text.examples:
        schema["examples"] = list(text.examples)
    if text.unit:
        schema["unit"] = text.unit
    return schema


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _say(key: str, schema: Schema) -> None:
    """Return the messages of a value and of the values in it."""
    pattern = schema.get("pattern")
    if pattern:
        rule, sentence = schema_messages.PATTERNS[pattern]
        schema["patternErrorMessage"] = f"This {sentence}"
        if "then" in schema:
            schema["then"]["errorMessage"] = schema["patternErrorMessage"]
    else:
        rule = ""
    match schema.get("type"):
        case "string" if "enum" in schema:
            schema["errorMessage"] = f"{quoted(key)} is one of {', '.join(schema['enum'])}"
        case "string":
            schema["errorMessage"] = (
                schema["patternErrorMessage"]
                if rule in {"interval", "timeout", "size"}
                else "Text belongs here: put a number, true or false in quotes"
            )
        case "integer":
            schema["errorMessage"] = (
                f"A whole number from {schema['minimum']} to {schema['maximum']} belongs here"
            )
        case "boolean":
            schema["errorMessage"] = "`true` or `false` belongs here"
        case "array":
            schema["errorMessage"] = "A list belongs here: put a single value in brackets, [value]"
        case "object":
            schema["errorMessage"] = "A mapping of text to text belongs here"
    for inner in _within(schema):
        _say(key, inner)


def _within(schema: Schema) -> Iterator[Schema]:
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(keyword), dict) and "$ref" not in schema[keyword]:
            yield schema[keyword]
