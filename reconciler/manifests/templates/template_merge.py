"""Merging of a template's fields with a collector's own. Values keep their positions.

Mappings merge key by key. Any other value of the collector replaces the template's. If fields
exclude each other, the collector's field also removes the template's alternatives.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping

from reconciler.manifests.diagnostics import Position
from reconciler.manifests.effective_manifest import PATHS
from reconciler.manifests.templates.partial_models import Place, mappings
from reconciler.manifests.yaml.document_nodes import Node

NAME = "{name}"
"""The placeholder in a template's texts for the collector's name."""
_ALSO: Mapping[Place, tuple[tuple[str, ...], ...]] = {
    ("source",): (("fingerprint", "caFile"),),
}
"""Groups of alternatives that a rule enforces and not the models."""
_PRESET = ("host", "port", "tls")
ALTERNATIVES: Mapping[Place, tuple[tuple[str, ...], ...]] = {
    place: groups
    for place, model in mappings()
    if (groups := (*((model.exactly_one,) if model.exactly_one else ()), *_ALSO.get(place, ())))
}
"""Groups of keys of which only one may be present, by the mapping's place in the spec."""
FILES: frozenset[Place] = frozenset(
    (*place, str(model.model_fields[field].alias))
    for place, model in mappings()
    for field in PATHS.get(model, ())
)
"""The places of paths, which are relative to the manifest's directory."""


def merge(template: Node, own: Node, place: Place = ()) -> Node:
    """Return `own` with the fields that only the template has. `place` is the path from the spec
    to these nodes."""
    if not isinstance(template.value, dict) or not isinstance(own.value, dict):
        return own
    result = Node({}, own.position, children={})
    for key, position in own.keys.items():
        above, child = template.child(key), _child(own, key)
        result.add(key, position, merge(above, child, (*place, key)) if above else child)
    for key, position in template.keys.items():
        if key not in own.value and not _dropped(key, own, place):
            result.add(key, position, _child(template, key))
    return result


def _dropped(key: str, own: Node, place: Place) -> bool:
    if place == ("source",) and "provider" in own.value and key in _PRESET:
        return True  # the template's server belongs to another provider
    return any(
        key in group and any(other in own.value for other in group)
        for group in ALTERNATIVES.get(place, ())
    )


def without(node: Node, key: str) -> Node:
    """Return a mapping without one entry."""
    result = Node({}, node.position, children={})
    for other, position in node.keys.items():
        if other != key:
            result.add(other, position, _child(node, other))
    return result


def with_child(node: Node, key: str, child: Node) -> Node:
    """Return a mapping with another value for one key."""
    result = Node({}, node.position, children={})
    for other, position in node.keys.items():
        result.add(other, position, child if other == key else _child(node, other))
    return result


def in_file(node: Node, file: str) -> Node:
    """Return the same value with `file` in each of its positions."""
    return _changed(
        node, lambda position: Position(position.line, position.column, file), lambda text, _: text
    )


def with_absolute_paths(node: Node, base: str) -> Node:
    """Return a template's spec with its relative paths made absolute from `base`."""
    start = os.path.abspath(base)  # noqa: PTH100  # links are not resolved
    return _changed(
        node,
        _same_position,
        lambda text, place: os.path.join(start, text) if place in FILES else text,  # noqa: PTH118
    )


def with_name(node: Node, name: str) -> Node:
    """Return a template's spec with the placeholder replaced by a collector's name."""
    return _changed(node, _same_position, lambda text, _: text.replace(NAME, name))


def _same_position(position: Position) -> Position:
    return position


def _changed(
    node: Node,
    move: Callable[[Position], Position],
    write: Callable[[str, Place], str],
    place: Place = (),
) -> Node:
    position = move(node.position)
    if isinstance(node.children, dict) and isinstance(node.value, dict):
        result = Node({}, position, children={})
        for key, at in node.keys.items():
            result.add(key, move(at), _changed(_child(node, key), move, write, (*place, key)))
        return result
    if isinstance(node.children, list) and isinstance(node.value, list):
        result = Node([], position)
        for child in node.children:
            result.append(_changed(child, move, write, place))
        return result
    return Node(
        write(node.value, place) if isinstance(node.value, str) else node.value,
        position,
        node.source,
    )


def _child(node: Node, key: str) -> Node:
    child = node.child(key)
    assert child is not None  # noqa: S101  # each key has a value
    return child
