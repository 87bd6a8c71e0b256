"""The check of a document by its model and, for the diagnostics, by the JSON Schema."""

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
from reconciler.model.spec import ManifestModel

if TYPE_CHECKING:
    import jsonschema

_DOUBTFUL = frozenset({"tag", "ambiguous-number", "unknown-alias"})
"""Rules of YAML after which a value is not checked further."""
_MOST_ERRORS = 1_000
"""The greatest number of errors of one document, so that one file does not delay the others."""


def check_model(
    found: Document, model: type[ManifestModel] | None, value: Any, *, explain: bool = True
) -> tuple[ManifestModel | None, list[Finding]]:
    """Return the manifest of `value`, or the findings about `found` if it is invalid.

    Without `explain`, a single finding says that the manifest is invalid.

    The model is many times faster than the schema and accepts the same manifests, as a test proves.
    So the schema is only used to explain errors.
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
    """Return the findings after which a value is not checked further."""
    return [finding for _, finding in found.findings if finding.rule in _DOUBTFUL]


@functools.cache
def _validator() -> tuple[jsonschema.Draft7Validator, Mapping[str, Any]]:
    import jsonschema  # noqa: PLC0415  # not needed while all manifests are valid

    inlined = json_schema.inlined_schema()
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
