"""The values of a YAML document, each with its position."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct, field

from reconciler.manifests.diagnostics import Finding, Path, Position


class UnusableDocument(Exception):
    """The rest of the file, from `position` on, cannot be read."""

    def __init__(self, position: Position, rule: str, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.rule = rule
        self.message = message


class Anchor(NamedTuple):
    """A YAML anchor: its name and the line of its value."""

    name: str
    line: int


class Node(Struct, eq=False):
    """A value. `size` is the number of values in it, itself included. An alias counts as often as
    it is used."""

    value: Any
    position: Position
    source: str | None = None
    """The text of a plain scalar whose value is not that text, such as a number."""
    keys: dict[str, Position] = field(default_factory=dict)
    children: list[Node] | dict[str, Node] = field(default_factory=list)
    size: int = 1
    anchor: Anchor | None = None
    """The anchor of an alias's value; None for a value that is no alias."""

    def add(self, key: str, position: Position, child: Node) -> None:
        """Add an entry to a mapping."""
        self.value[key] = child.value
        self.keys[key] = position
        self.children[key] = child  # type: ignore[call-overload]  # a mapping's children are a dict
        self.size += child.size

    def append(self, child: Node) -> None:
        """Add an element to a list."""
        self.value.append(child.value)
        self.children.append(child)  # type: ignore[union-attr]  # a list's children are a list
        self.size += child.size

    def child(self, part: str | int) -> Node | None:
        """Return the value at a key or index, or None."""
        if isinstance(self.children, dict):
            return self.children.get(part) if isinstance(part, str) else None
        return self.children[part] if isinstance(part, int) and part < len(self.children) else None


class Document(Struct, frozen=True):
    """A document that is not empty. `findings` are about its YAML syntax."""

    root: Node
    findings: tuple[tuple[Position, Finding], ...] = ()

    def at(self, path: Path) -> Node | None:
        """Return the value at `path`, or None."""
        nodes = self._down(path)
        return nodes[-1] if len(nodes) > len(path) else None

    def place(self, path: Path, *, key: bool = False) -> Position:
        """Return the position of the value at `path`, or of its key.

        If there is no such value, return the position of its nearest existing parent.
        """
        nodes = self._down(path)
        alias = _alias(nodes, path, key=key)
        if alias is not None:
            return alias.position
        if key and path and len(nodes) >= len(path):
            return nodes[len(path) - 1].keys.get(str(path[-1])) or nodes[-1].position
        return nodes[-1].position

    def anchor(self, path: Path, *, key: bool = False) -> Anchor | None:
        """Return the anchor through whose alias the value at `path` is reached, or None."""
        alias = _alias(self._down(path), path, key=key)
        return alias.anchor if alias else None

    def _down(self, path: Path) -> list[Node]:
        """Return the existing values along `path`, from the root down."""
        nodes = [self.root]
        for part in path:
            node = nodes[-1].child(part)
            if node is None:
                break
            nodes.append(node)
        return nodes


def _alias(nodes: list[Node], path: Path, *, key: bool) -> Node | None:
    """Return the first alias among the nodes along `path`. A key in front of an alias is not part
    of it."""
    return next(
        (
            node
            for depth, node in enumerate(nodes)
            if node.anchor and not (key and depth == len(path))
        ),
        None,
    )
