"""The fields of a collector's manifest, read from the schema. So a new field of the schema is in
the form as well."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from reconciler.manifests.schema_export import json_schema

Schema = Mapping[str, Any]
Keys = tuple[str, ...]
Shape = Literal["text", "number", "flag", "choice", "lines", "pairs", "yaml", "group"]
_WORDS = {"ca": "CA", "id": "ID", "url": "URL", "tls": "TLS", "oauth2": "OAuth2", "imap": "IMAP"}
"""Words of keys that are written in another way."""
_SIMPLE: Mapping[str, Shape] = {"string": "text", "integer": "number", "boolean": "flag"}
_INLINE = "value"
"""The key of a secret in the manifest itself, which no form offers."""


class SchemaField(Struct, frozen=True):
    """A field of the manifest at `keys`.

    `shape`: how it is edited; `lines` is a list of texts, `pairs` a mapping of texts, `yaml` what
    has no simpler form, and `group` a mapping with `fields` of its own. `choices` are the allowed
    words with their meanings. `default` is None where the schema has none.
    """

    keys: Keys
    shape: Shape
    title: str
    description: str = ""
    unit: str = ""
    default: Any = None
    example: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    least: int | None = None
    most: int | None = None
    fields: tuple[SchemaField, ...] = ()

    @property
    def name(self) -> str:
        """The field's name in a form: its keys with dots between them."""
        return ".".join(self.keys)

    def leaves(self) -> Iterator[SchemaField]:
        """Yield the fields below a group that have values, or the field itself."""
        if self.shape != "group":
            yield self
        for field in self.fields:
            yield from field.leaves()


def collector_fields() -> SchemaField:
    """Return the fields of a collector's manifest, by the schema of this version."""
    return _fields_of(json_schema.text())


@functools.lru_cache(maxsize=2)
def _fields_of(text: str) -> SchemaField:
    return fields_of(json.loads(text))


def fields_of(schema: Schema) -> SchemaField:
    """Return the fields of a collector's manifest, by this schema."""
    definitions = schema["definitions"]
    reading = _SchemaReading(definitions)
    return SchemaField(
        (),
        "group",
        "",
        fields=(
            reading.field(("metadata",), schema["properties"]["metadata"]),
            reading.field(("spec",), _collector_spec(schema)),
        ),
    )


def _collector_spec(schema: Schema) -> Schema:
    """Return the schema of a collector's spec that names no template."""
    for condition in schema["allOf"]:
        kind = condition.get("if", {}).get("properties", {}).get("kind", {}).get("const")
        if kind == "MailCollector":
            spec: Schema = condition["then"]["properties"]["spec"]
            whole: Schema = spec.get("else", spec)
            return whole
    raise ValueError("the schema has no MailCollector")


class _SchemaReading:
    """Reads fields of a schema; `definitions` are what it refers to."""

    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions

    def field(self, keys: Keys, schema: Schema) -> SchemaField:
        """Return the field with this schema."""
        meant = self._resolved(schema)
        shape = _shape(meant)
        described = {
            "title": _title(keys, schema, meant),
            "description": schema.get("description", ""),
            "unit": schema.get("unit", meant.get("unit", "")),
            "default": schema.get("default", meant.get("default")),
        }
        if shape == "group":
            return SchemaField(keys, shape, **described, fields=self._below(keys, meant))
        return SchemaField(
            keys,
            shape,
            **described,
            example=_example(meant, shape),
            choices=_choices(meant),
            least=meant.get("minimum"),
            most=meant.get("maximum"),
        )

    def _below(self, keys: Keys, schema: Schema) -> tuple[SchemaField, ...]:
        properties: Schema = schema["properties"]
        return tuple(
            self.field((*keys, key), below)
            for key, below in properties.items()
            if not (key == _INLINE and _is_secret(schema))
        )

    def _resolved(self, schema: Schema) -> Schema:
        """Return the schema that this one refers to, or itself."""
        inner = schema
        if "$ref" not in inner and inner.keys() & {"allOf"} and "type" not in inner:
            inner = next((one for one in inner["allOf"] if "$ref" in one), inner)
        if "$ref" in inner:
            return self._resolved(self._definitions[inner["$ref"].rpartition("/")[2]])
        return schema


def _title(keys: Keys, schema: Schema, meant: Schema) -> str:
    """Return the title of a field: its own, that of its kind of group, or its key as words."""
    is_group = meant is not schema and not _is_secret(meant)
    return schema.get("title") or (meant.get("title") if is_group else "") or key_words(keys[-1])


def _is_secret(schema: Schema) -> bool:
    """Return whether this is a group that says where a secret is kept."""
    return {"file", "env", _INLINE} <= set(schema.get("properties", {}))


def _shape(schema: Schema) -> Shape:
    kind = schema.get("type")
    if kind == "object" and schema.get("properties"):
        return "group"
    if kind == "object" and schema.get("additionalProperties", {}).get("type") == "string":
        return "pairs"
    if kind == "array" and schema.get("items", {}).get("type") == "string":
        return "lines"
    if kind == "string" and "enum" in schema:
        return "choice"
    return _SIMPLE.get(kind or "", "yaml")


def _choices(schema: Schema) -> tuple[tuple[str, str], ...]:
    words = schema.get("enum", ())
    return tuple(zip(words, schema.get("enumDescriptions", words), strict=False))


def _example(schema: Schema, shape: Shape) -> str:
    examples = schema.get("examples")
    return value_text(examples[0], shape) if examples else ""


def value_text(value: Any, shape: Shape) -> str:
    """Return a value of a manifest as a form shows it; None is empty."""
    if value is None:
        return ""
    if shape == "lines" and isinstance(value, list):
        return "\n".join(map(str, value))
    if shape == "pairs" and isinstance(value, Mapping):
        return "\n".join(f"{key}: {one}" for key, one in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    from reconciler.manifests.editing.yaml_patch import yaml_value  # noqa: PLC0415  # seldom needed

    return yaml_value(value)


def key_words(key: str) -> str:
    """Return a key as words: caFile is CA file."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).lower().split()
    shown = [_WORDS.get(word, word) for word in words]
    return " ".join([shown[0][:1].upper() + shown[0][1:], *shown[1:]]) if shown else key
