"""The generator that adapts pydantic's JSON Schema to editors."""

from __future__ import annotations

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.manifests.schema_export.editor_hints import add_editor_hints
from reconciler.model.spec import ManifestModel

_LINE_FEED = {"type": "string", "pattern": "\n"}


class Draft7(GenerateJsonSchema):
    """A generator of schemas without null values, without titles that repeat the key, and with
    patterns that match to the end of the text."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        if generated.get("default") is None or isinstance(generated["default"], dict):
            generated.pop("default", None)
        return generated

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Add the descriptions of the model and its fields."""
        generated = super().model_schema(schema)
        if issubclass(schema["cls"], ManifestModel):
            add_editor_hints(schema["cls"], generated)
        return generated

    # the base class's signature
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Add a condition that refuses line feeds in texts with a pattern.

        In Python's regular expressions `$` also matches before a final line feed, and RE2 cannot
        exclude it. Editors have a message for this form of condition.
        """
        generated = super().str_schema(schema)
        if generated.get("pattern", "").endswith("$"):
            generated |= {"if": dict(_LINE_FEED), "then": {"const": ""}}
        return generated

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Describe keys by `propertyNames`, so that a wrong key is an error."""
        generated: JsonSchemaValue = {"type": "object"}
        names = self.generate_inner(schema["keys_schema"])
        names.pop("type")
        if names:
            generated["propertyNames"] = names
        generated["additionalProperties"] = self.generate_inner(schema["values_schema"])
        return generated
