"""A document's values, each with the place it stands at."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct, field

from reconciler.manifests.diagnostics import Finding, Path, Position


class Unusable(Exception):
    """The file cannot be read on from here."""

    def __init__(self, position: Position, rule: str, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.rule = rule
        self.message = message


class Anchor(NamedTuple):
    """A name that a value has, and the value's line."""

    name: str
    line: int


class Node(Struct, eq=False):
    """A value. `size` counts it and everything below it, aliases as often as they are used."""

    value: Any
    position: Position
    source: str | None = None
    """A plain scalar as it is written, where that is not its value."""
    keys: dict[str, Position] = field(default_factory=dict)
    children: list[Node] | dict[str, Node] = field(default_factory=list)
    size: int = 1
    anchor: Anchor | None = None
    """Where the value stands that this is an alias of."""

    def add(self, key: str, position: Position, child: Node) -> None:
        """A mapping's next entry."""
        self.value[key] = child.value
        self.keys[key] = position
        self.children[key] = child  # type: ignore[call-overload]  # a mapping's children are a dict
        self.size += child.size

    def append(self, child: Node) -> None:
        """A list's next element."""
        self.value.append(child.value)
        self.children.append(child)  # type: ignore[union-attr]  # a list's children are a list
        self.size += child.size

    def child(self, part: str | int) -> Node | None:
        if isinstance(self.children, dict):
            return self.children.get(part) if isinstance(part, str) else None
        return self.children[part] if isinstance(part, int) and part < len(self.children) else None


class Document(Struct, frozen=True):
    """One document that is not empty. `findings` are about its YAML."""

    root: Node
    findings: tuple[tuple[Position, Finding], ...] = ()

    def at(self, path: Path) -> Node | None:
        """What stands at `path`."""
        nodes = self._down(path)
        return nodes[-1] if len(nodes) > len(path) else None

    def place(self, path: Path, *, key: bool = False) -> Position:
        """Where the value at `path` begins (or its key); where there is none, the nearest value
        that would hold it."""
        nodes = self._down(path)
        alias = _alias(nodes, path, key=key)
        if alias is not None:
            return alias.position
        if key and path and len(nodes) >= len(path):
            return nodes[len(path) - 1].keys.get(str(path[-1])) or nodes[-1].position
        return nodes[-1].position

    def anchor(self, path: Path, *, key: bool = False) -> Anchor | None:
        """The one by whose alias the value at `path` is there."""
        alias = _alias(self._down(path), path, key=key)
        return alias.anchor if alias else None

    def _down(self, path: Path) -> list[Node]:
        """The values on the way, as far as they exist."""
        nodes = [self.root]
        for part in path:
            node = nodes[-1].child(part)
            if node is None:
                break
            nodes.append(node)
        return nodes


def _alias(nodes: list[Node], path: Path, *, key: bool) -> Node | None:
    """The first alias on the way; the key that stands before one is no part of it."""
    return next(
        (
            node
            for depth, node in enumerate(nodes)
            if node.anchor and not (key and depth == len(path))
        ),
        None,
    )
