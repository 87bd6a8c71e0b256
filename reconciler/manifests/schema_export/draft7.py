"""How pydantic's JSON Schema becomes one that editors read well."""

from __future__ import annotations

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.manifests.schema_export.editor_hints import dress
from reconciler.model.spec import Declared

_LINE_FEED = {"type": "string", "pattern": "\n"}


class Draft7(GenerateJsonSchema):
    """Absent is absent (never null), no titles that repeat the key, patterns that end where the
    text ends."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        if generated.get("default") is None or isinstance(generated["default"], dict):
            generated.pop("default", None)
        return generated

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """With what is said of the model and of its fields."""
        generated = super().model_schema(schema)
        if issubclass(schema["cls"], Declared):
            dress(schema["cls"], generated)
        return generated

    # the base class's signature
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """`$` also matches before a last line feed in Python's regular expressions, and RE2 has no
        way to say that it must not: so a second condition refuses a line feed wherever it stands,
        in a way that editors have words for."""
        generated = super().str_schema(schema)
        if generated.get("pattern", "").endswith("$"):
            generated |= {"if": dict(_LINE_FEED), "then": {"const": ""}}
        return generated

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Keys by `propertyNames`, so that a wrong key is an error and not merely another
        pattern."""
        generated: JsonSchemaValue = {"type": "object"}
        names = self.generate_inner(schema["keys_schema"])
        names.pop("type")
        if names:
            generated["propertyNames"] = names
        generated["additionalProperties"] = self.generate_inner(schema["values_schema"])
        return generated
