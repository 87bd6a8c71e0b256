"""One document against its model and, where that refuses it, against the schema, which says why."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reconciler.manifests.checks import schema_messages
from reconciler.manifests.diagnostics import Finding
from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.yaml.document_nodes import Document
from reconciler.model.spec import Declared

if TYPE_CHECKING:
    import jsonschema

_DOUBTFUL = frozenset({"tag", "ambiguous-number", "unknown-alias"})
"""Rules of the YAML that leave a value nobody should judge any further."""
_MOST_ERRORS = 1_000
"""Of one document: nobody reads more, and a file must not hold up the others."""


def check_model(
    found: Document, model: type[Declared] | None, value: Any, *, explain: bool = True
) -> tuple[Declared | None, list[Finding]]:
    """The manifest that `value` is, or what is wrong with `found`; without `explain` only that
    something is.

    The model judges many times faster than the schema and accepts the same ones (a test holds them
    together), so the schema is only asked what is wrong.
    """
    refused: list[Finding] = []
    if model is not None:
        try:
            return model.model_validate(value), []
        except ValidationError as error:
            refused = [
                Finding(
                    tuple(one["loc"]), "model", f"{one['msg']} (the schema accepts it: report this)"
                )
                for one in error.errors(include_input=False, include_url=False)
            ]
    if not explain:
        return None, [
            Finding(
                (),
                "too-many-errors",
                "this manifest is invalid as well: what is wrong with it is told "
                "once there are fewer errors above",
            )
        ]
    return None, _against_schema(found) or ([] if found.findings else refused)


def doubtful(found: Document) -> list[Finding]:
    return [finding for _, finding in found.findings if finding.rule in _DOUBTFUL]


@functools.cache
def _validator() -> tuple[jsonschema.Draft7Validator, Mapping[str, Any]]:
    import jsonschema  # noqa: PLC0415  # a daemon whose manifests are valid does without

    inlined = json_schema.inlined()
    return jsonschema.Draft7Validator(inlined), inlined


def _against_schema(found: Document) -> list[Finding]:
    validator, inlined = _validator()
    doubted = {finding.path for finding in doubtful(found)}
    judged = [
        finding
        for error in itertools.islice(validator.iter_errors(found.root.value), _MOST_ERRORS)
        for finding in schema_messages.findings(error, found, inlined)
    ]
    return [
        finding
        for finding in schema_messages.consequences(list(dict.fromkeys(judged)))
        if not any(finding.path[: len(path)] == path for path in doubted)
    ]
