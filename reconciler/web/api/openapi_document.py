"""The OpenAPI document of the API (OpenAPI 3.1), made from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from reconciler.model.scalar_types import (
    NAME,
)
from reconciler.web.api.operations import Operation
from reconciler.web.problem_details import MEDIA_TYPE

_REFERENCE = "#/components/schemas/{model}"
_IN_PATH = re.compile(r"\{(\w+)\}")
_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 63,
    "pattern": NAME,
}
_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "diagnostics": {"type": "array", "items": {"$ref": "#/components/schemas/Diagnostic"}},
    },
}
_DIAGNOSTIC: Mapping[str, Any] = {
    "type": "object",
    "required": ["file", "line", "column", "path", "rule", "severity", "message"],
    "properties": {
        "file": {"type": "string"},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
        "path": {"type": "string"},
        "rule": {"type": "string"},
        "severity": {"enum": ["error", "warning", "info"]},
        "message": {"type": "string"},
    },
}


def openapi_document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """Return the document as plain data."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM, "Diagnostic": _DIAGNOSTIC}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mailcollector",
            "version": version,
            "description": "Collectors, their state and their manifests.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "mailcollector-session"},
            },
        },
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    named = _IN_PATH.findall(operation.path)
    errors = set(operation.errors) | ({400} if operation.query else set())
    if operation.role is not None:
        errors |= {401, 403, 429, 503}
    found: dict[str, Any] = {
        "operationId": _identity(operation),
        "summary": operation.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _NAME} for name in named),
            *(
                {
                    "name": one.name,
                    "in": "query",
                    "description": one.text,
                    "schema": {"type": "array", "items": one.schema} if one.repeats else one.schema,
                }
                for one in operation.query
            ),
            *operation.headers,
        ],
        "responses": {
            str(operation.status): _answer(operation, operation.status, operation.answer, schemas),
            **{
                str(status): _answer(operation, status, answer, schemas)
                for status, answer in operation.also.items()
            },
            **{str(status): _problem(status) for status in sorted(errors)},
        },
        "security": [{"token": []}, {"session": []}] if operation.role is not None else [],
    }
    if operation.role is not None:
        found["description"] = f"Needs the role `{operation.role.value}`."
    if operation.body is not None:
        schema = _schema(operation.body, schemas)
        found["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind in operation.body_types},
        }
    return found


def _identity(operation: Operation) -> str:
    words = [word for word in re.split(r"\W+", operation.path) if word]
    return "_".join([operation.method.lower(), *words])


def _answer(
    operation: Operation, status: int, answer: Any, schemas: dict[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if answer is not None:
        found["content"] = {
            operation.media_type: {"schema": _schema(answer, schemas)},
            **{kind: {"schema": {"type": "string"}} for kind in operation.text_types},
        }
    return found


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _schema(described: Any, schemas: dict[str, Any]) -> Any:
    """Return the JSON Schema of a model, or what it already is; its parts go into `schemas`."""
    if not (isinstance(described, type) and issubclass(described, BaseModel)):
        return described
    schema = described.model_json_schema(mode="serialization", ref_template=_REFERENCE)
    schemas |= schema.pop("$defs", {})
    schemas[described.__name__] = schema
    return {"$ref": _REFERENCE.format(model=described.__name__)}
