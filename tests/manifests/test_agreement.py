"""The schema and the models accept and reject the same values."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.templates.partial_models import model_of
from reconciler.manifests.yaml import document_reader
from tests.manifests.corpus import VALID

PLAIN = jsonschema.Draft7Validator(json.loads(json_schema.text()))
MANIFESTS: list[Any] = [
    found.root.value for path in VALID for found in document_reader.read(path.read_bytes())[0]
]
WORDS = [
    "",
    "x",
    "sales",
    "imap",
    "none",
    "5m",
    "4s",
    "1d",
    "24h1s",
    "50MiB",
    "0",
    "a@b",
    "a@b@c",
    "a b",
    "a\n",
    "a\r\nb",
    "\0",
    "Имя",
    "-",
    "a" * 64,
    "a" * 2000,
    "MailCollector",
    "Destination",
    "Template",
    "sha256:" + "ab" * 32,
    "ab" * 32 + "\n",
]
KEYS = [
    "from",
    "recipient",
    "name",
    "labels",
    "source",
    "password",
    "oauth2",
    "file",
    "env",
    "value",
    "command",
    "socket",
    "host",
    "port",
    "path",
    "maildir",
    "lmtp",
    "smtp",
    "forwardTo",
    "detect",
    "default",
    "folders",
    "username",
    "usrname",
    "kind",
    "spec",
]
NUMBERS = [0, 1, 65535, 65536, 993.0, 1.5, -1, 10**9 + 1, 10**30]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(NUMBERS)
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=4,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield from paths(child, (*above, key))


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """Return a valid manifest with one to three values changed, removed, added or moved."""
    manifest = copy.deepcopy(draw(st.sampled_from(MANIFESTS)))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(
            st.sampled_from([path for path in paths(manifest) if path] or [("kind",)])
        )
        holder = manifest
        for key in above:
            holder = holder[key]
        match draw(st.sampled_from(["change", "remove", "add"])):
            case "change":
                holder[last] = draw(values)
            case "remove":
                del holder[last]
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(KEYS))] = draw(values)
            case _:
                holder.append(draw(values))
    return manifest


def accepted_by_model(value: Any) -> bool:
    model = model_of(value)
    try:
        return model is not None and model.model_validate(value) is not None
    except ValidationError:
        return False


def changed(path: tuple[Any, ...], value: Any) -> Any:
    manifest = copy.deepcopy(MANIFESTS[0])
    holder = manifest
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return manifest


@settings(max_examples=600, deadline=None)
@given(mutants())
@example(changed(("metadata", "name"), "sales\n"))
@example(changed(("spec", "source", "port"), 993.0))
@example(changed(("spec", "source", "port"), True))
@example(changed(("spec", "title"), None))
@example(changed(("spec", "source", "password"), {"file": None, "env": "A"}))
@example(changed(("spec", "source", "password"), {"command": ["a", 1]}))
@example(changed(("metadata", "labels"), {"a": None}))
@example(changed(("spec", "source", "folders"), "INBOX"))
def test_schema_and_model_agree(manifest: Any) -> None:
    assert PLAIN.is_valid(manifest) == accepted_by_model(manifest)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_both_accept_the_valid_ones(manifest: Any) -> None:
    assert PLAIN.is_valid(manifest)
    assert accepted_by_model(manifest)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_what_a_model_declares_is_a_manifest_again(manifest: Any) -> None:
    model = model_of(manifest)
    assert model is not None
    declared = model.model_validate(manifest).declared()
    assert PLAIN.is_valid(declared)
    assert model.model_validate_json(json.dumps(declared)).declared() == declared


def test_inlined_schema_judges_as_the_one_with_references() -> None:
    inlined = jsonschema.Draft7Validator(json_schema.inlined_schema())
    for manifest in MANIFESTS:
        for path in paths(manifest):
            if path:
                mutant = copy.deepcopy(manifest)
                holder = mutant
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = [0]
                assert inlined.is_valid(mutant) == PLAIN.is_valid(mutant)
