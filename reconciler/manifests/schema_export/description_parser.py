"""Descriptions of the models' fields for the JSON Schema, read from the models' source.

pydantic can read them by itself, but it does so at each definition of a model. That would cost
every process that reads manifests a twentieth of its start.
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

from reconciler.model.spec import ManifestModel

_MEANING = re.compile(r"`([^`]+)`: (.+)")
_EXAMPLES = "Examples: "
_UNIT = "Unit: "


class FieldText(Struct, frozen=True):
    """The description of one field.

    `text` has no line breaks. `meanings` explains each allowed word. `examples` are values. `unit`:
    what a number counts, or the units that a text ends with.
    """

    text: str
    meanings: Mapping[str, str]
    examples: tuple[Any, ...]
    unit: str = ""


@functools.cache
def descriptions(module: ModuleType) -> Mapping[str, Mapping[str, FieldText]]:
    """Return the texts below the fields of a module's classes, by class and field.

    A text consists of paragraphs:
    - One that begins with "Examples: " lists values in backquotes, in YAML.
    - One that begins with "Unit: " names the unit.
    - One with lines such as "`word`: meaning" explains the allowed words. A line that is indented
      by two spaces continues the line above.
    - All others are the description.
    """
    return {
        node.name: dict(_fields(node))
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def field_texts(model: type[ManifestModel]) -> dict[str, FieldText]:
    """Return the texts of a model's fields, those of its base classes first."""
    texts = descriptions(sys.modules[ManifestModel.__module__])
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
    """Return the parts of the text below a field."""
    described: list[str] = []
    meanings: dict[str, str] = {}
    examples: list[Any] = []
    unit = ""
    for paragraph in text.split("\n\n"):
        lines = paragraph.replace("\n  ", " ").splitlines()
        if paragraph.startswith(_EXAMPLES):
            examples += [
                YAML(typ="safe", pure=True).load(value)
                for value in re.findall("`([^`]+)`", paragraph)
            ]
        elif paragraph.startswith(_UNIT):
            unit = paragraph.removeprefix(_UNIT)
        elif all(_MEANING.fullmatch(line) for line in lines):
            meanings |= {
                match[1]: match[2] for line in lines if (match := _MEANING.fullmatch(line))
            }
        else:
            described.append(" ".join(lines))
    return FieldText(" ".join(described), meanings, tuple(examples), unit)
