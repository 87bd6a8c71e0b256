"""A template's fields under a collector's own, as values that still know where they stand.

Mappings merge key by key; whatever else the collector states wins whole. Where fields exclude each
other, stating one drops the template's others, for otherwise no collector could choose another one.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping

from reconciler.manifests.diagnostics import Position
from reconciler.manifests.effective_manifest import PATHS
from reconciler.manifests.templates.partial_models import Place, mappings
from reconciler.manifests.yaml.document_nodes import Node

NAME = "{name}"
"""In a template's texts: the name of the collector that uses it."""
_ALSO: Mapping[Place, tuple[tuple[str, ...], ...]] = {
    ("source",): (("fingerprint", "caFile"),),
}
"""Groups that a rule keeps apart, not the models."""
_PRESET = ("host", "port", "tls")
ALTERNATIVES: Mapping[Place, tuple[tuple[str, ...], ...]] = {
    place: groups
    for place, model in mappings()
    if (groups := (*((model.exactly_one,) if model.exactly_one else ()), *_ALSO.get(place, ())))
}
"""By the mapping's place in the spec: groups of keys of which only one may be there."""
FILES: frozenset[Place] = frozenset(
    (*place, str(model.model_fields[field].alias))
    for place, model in mappings()
    for field in PATHS.get(model, ())
)
"""What is relative to a manifest's file."""


def merged(template: Node, own: Node, place: Place = ()) -> Node:
    """`own` with what only the template says. `place`: from the spec to here."""
    if not isinstance(template.value, dict) or not isinstance(own.value, dict):
        return own
    result = Node({}, own.position, children={})
    for key, position in own.keys.items():
        above, child = template.child(key), _child(own, key)
        result.add(key, position, merged(above, child, (*place, key)) if above else child)
    for key, position in template.keys.items():
        if key not in own.value and not _dropped(key, own, place):
            result.add(key, position, _child(template, key))
    return result


def _dropped(key: str, own: Node, place: Place) -> bool:
    if place == ("source",) and "provider" in own.value and key in _PRESET:
        return True  # it is another account's server
    return any(
        key in group and any(other in own.value for other in group)
        for group in ALTERNATIVES.get(place, ())
    )


def without(node: Node, key: str) -> Node:
    """A mapping less one entry."""
    result = Node({}, node.position, children={})
    for other, position in node.keys.items():
        if other != key:
            result.add(other, position, _child(node, other))
    return result


def replaced(node: Node, key: str, child: Node) -> Node:
    """A mapping with another value in one entry."""
    result = Node({}, node.position, children={})
    for other, position in node.keys.items():
        result.add(other, position, child if other == key else _child(node, other))
    return result


def placed(node: Node, file: str) -> Node:
    """The same, every place in it in `file`."""
    return _changed(
        node, lambda position: Position(position.line, position.column, file), lambda text, _: text
    )


def absolute(node: Node, base: str) -> Node:
    """A template's spec with its relative paths made absolute, starting at `base`."""
    start = os.path.abspath(base)  # noqa: PTH100  # links stay as they are
    return _changed(
        node,
        _there,
        lambda text, place: os.path.join(start, text) if place in FILES else text,  # noqa: PTH118
    )


def named(node: Node, name: str) -> Node:
    """A template's spec as it is for the collector of this name."""
    return _changed(node, _there, lambda text, _: text.replace(NAME, name))


def _there(position: Position) -> Position:
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
    assert child is not None  # noqa: S101  # each key has its value
    return child
