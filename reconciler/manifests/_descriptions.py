"""What the JSON Schema says of the fields of a model: the texts that stand under them in its source.

pydantic can read them by itself, but does so whenever a model is defined: in every process that reads a manifest, for a
twentieth of its start.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
from collections.abc import Mapping
from types import ModuleType


@functools.cache
def descriptions(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    """By class and field."""
    return {node.name: dict(_fields(node)) for node in ast.parse(inspect.getsource(module)).body
            if isinstance(node, ast.ClassDef)}


def _fields(model: ast.ClassDef) -> list[tuple[str, str]]:
    return [(field.target.id, inspect.cleandoc(text.value.value)) for field, text in itertools.pairwise(model.body)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)]
