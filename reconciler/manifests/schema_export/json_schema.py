"""The JSON Schema of manifests: generated from `model.spec`, committed and shipped.

`python -m reconciler.manifests.schema_export.json_schema` writes the file. Draft 7 is the newest
draft that yaml-language-server supports in full, and most editors use that server. `kind` chooses
the spec through if/then, so that an error names the wrong field instead of "matches none of these".
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

FILE = "mailcollector.v1.json"
ID = f"https://mailcollector.dev/schemas/{FILE}"
_DRAFT = "http://json-schema.org/draft-07/schema#"
EDITING = frozenset(
    {
        "defaultSnippets",
        "deprecationMessage",
        "enumDescriptions",
        "errorMessage",
        "markdownDescription",
        "patternErrorMessage",
        "unit",
    }
)
"""Keywords outside of JSON Schema: those for editors (VS Code, yaml-language-server), and the unit
of a value, for forms. Validators ignore them."""
_DESCRIBING = EDITING - {"errorMessage"} | frozenset(
    {"$schema", "$id", "title", "description", "default", "examples"}
)


def text() -> str:
    """Return the committed schema."""
    return resources.files("reconciler.manifests").joinpath(FILE).read_text(encoding="utf-8")


def plain_text() -> str:
    """Return the committed schema without the keywords for editors."""
    return json.dumps(_without(json.loads(text()), EDITING), indent=2, ensure_ascii=False) + "\n"


def _without(schema: Any, keywords: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_without(item, keywords) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without(value, keywords) for key, value in schema.items() if key not in keywords}


def inlined_schema() -> dict[str, Any]:
    """Return the committed schema in a form that validates faster in Python.

    References are resolved, descriptions are removed, and patterns end with `\\Z`.
    """
    schema = json.loads(text())
    definitions = schema.pop("definitions")
    whole: dict[str, Any] = _inline(schema, definitions)
    return whole


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    plain = {
        key: _inline(value, definitions)
        for key, value in schema.items()
        if isinstance(value, dict) or key not in _DESCRIBING
    }
    if "pattern" in plain:
        for condition in ("if", "then"):
            plain.pop(condition, None)
        plain["pattern"] = plain["pattern"].removesuffix("$") + r"\Z"
    return plain["allOf"][0] if plain.keys() == {"allOf"} and len(plain["allOf"]) == 1 else plain


def generated() -> str:
    """Return the schema generated from the present `model.spec`."""
    # Imported here to keep printing of the committed schema fast.
    from pydantic import BaseModel  # noqa: PLC0415
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415

    from reconciler.manifests.schema_export import editor_hints  # noqa: PLC0415
    from reconciler.manifests.schema_export.draft7 import Draft7  # noqa: PLC0415
    from reconciler.manifests.templates.partial_models import derived_spec, template_spec  # noqa: PLC0415
    from reconciler.model.spec import CollectorSpec, DestinationSpec, Metadata  # noqa: PLC0415

    models: list[type[BaseModel]] = [
        Metadata,
        CollectorSpec,
        derived_spec(),
        DestinationSpec,
        template_spec(),
    ]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/definitions/{model}",
        schema_generator=Draft7,
    )
    metadata, whole, derived, destination, template = (
        {
            "defaultSnippets": editor_hints.snippets(model),
            "allOf": [references[model, "validation"]],
        }
        for model in models
    )
    specs: dict[str, Any] = {
        "MailCollector": {
            "type": "object",
            "then": derived,
            "else": whole,
            "if": {"type": "object", "properties": {"from": {}}, "required": ["from"]},
        },
        "Destination": destination,
        "Template": template,
    }
    kinds = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": {"spec": spec}},
        }
        for kind, spec in specs.items()
    ]
    schema = {
        "$schema": _DRAFT,
        "$id": ID,
        "title": "Manifest of mailcollector",
        "description": "A collector of mail from one remote account, a destination that collected "
        "mail goes to, or a template of what many collectors have in common.",
        "type": "object",
        "properties": {
            "apiVersion": {
                "description": "The version of this format.",
                "const": "mailcollector/v1",
                "errorMessage": "`apiVersion` is mailcollector/v1",
            },
            "kind": {
                "description": "What this manifest declares.",
                "enum": list(specs),
                "enumDescriptions": [editor_hints.KINDS[kind] for kind in specs],
                "errorMessage": f"`kind` is one of {', '.join(specs)}",
            },
            "metadata": {"description": "What identifies the manifest.", **metadata},
            "spec": {
                "description": "What is declared; its fields depend on kind.",
                "type": "object",
                "errorMessage": "A mapping belongs here; its fields depend on `kind`",
            },
        },
        "additionalProperties": False,
        "allOf": [editor_hints.required(["apiVersion", "kind", "metadata", "spec"]), *kinds],
        "defaultSnippets": editor_hints.manifests(),
        "definitions": definitions["$defs"],
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    with resources.as_file(resources.files("reconciler.manifests").joinpath(FILE)) as path:
        path.write_text(generated(), encoding="utf-8")
