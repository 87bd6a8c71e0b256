"""What the JSON Schema says of the fields of a model: the texts that stand under them in its
source.

pydantic can read them by itself, but does so whenever a model is defined: in every process that
reads a manifest, for a twentieth of its start.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from msgspec import Struct
from ruamel.yaml import YAML

from reconciler.model.spec import Declared

_MEANING = re.compile(r"`([^`]+)`: (.+)")
_EXAMPLES = "Examples: "


class FieldText(Struct, frozen=True):
    """`text`: a line or a few, without line breaks. `meanings`: of its words, by word. `examples`:
    values."""

    text: str
    meanings: Mapping[str, str]
    examples: tuple[Any, ...]


@functools.cache
def descriptions(module: ModuleType) -> Mapping[str, Mapping[str, FieldText]]:
    """By class and field.

    A text has paragraphs. One that begins with "Examples: " lists values in backquotes, as they are
    written in YAML; one of lines such as "`word`: meaning" tells what each of the field's words
    means; the others are the description.
    """
    return {
        node.name: dict(_fields(node))
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def field_texts(model: type[Declared]) -> dict[str, FieldText]:
    """The texts of a model's fields, its base classes' first."""
    texts = descriptions(sys.modules[Declared.__module__])
    return {
        name: text
        for base in reversed(model.described_as().__mro__)
        for name, text in texts.get(base.__name__, {}).items()
        if name in model.model_fields
    }


def _fields(model: ast.ClassDef) -> list[tuple[str, FieldText]]:
    return [
        (field.target.id, parsed(inspect.cleandoc(text.value.value)))
        for field, text in itertools.pairwise(model.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]


def parsed(text: str) -> FieldText:
    """What stands under a field."""
    said: list[str] = []
    meanings: dict[str, str] = {}
    examples: list[Any] = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if paragraph.startswith(_EXAMPLES):
            examples += [
                YAML(typ="safe", pure=True).load(value)
                for value in re.findall("`([^`]+)`", paragraph)
            ]
        elif all(_MEANING.fullmatch(line) for line in lines):
            meanings |= {
                match[1]: match[2] for line in lines if (match := _MEANING.fullmatch(line))
            }
        else:
            said.append(" ".join(lines))
    return FieldText(" ".join(said), meanings, tuple(examples))
