"""Parsing of bytes into YAML documents with libyaml: strict, bounded, and with positions.

`ruamel.yaml.YAML(typ="safe")` silently falls back to Python, four times slower, if libyaml's parser
is missing. So the parser is imported by its name. The documents are built from its events: deep
nesting does not use the stack, and aliases are counted before they are expanded. Anchors and
aliases are allowed within bounds; tags and merge keys are not.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

# from a compiled module without types
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    StreamEndEvent,
)

from reconciler.manifests.diagnostics import Finding, Path, Position, is_secret, quoted
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import Anchor, Document, Node, UnusableDocument
from reconciler.manifests.yaml.plain_scalars import AmbiguousNumber, Scalar, resolve
from reconciler.manifests.yaml.syntax_errors import explain

DEEPEST = 64
MOST_VALUES = 20_000
LONGEST_KEY = 1_024
"""The greatest length of a key in characters. Keys appear in the paths of diagnostics."""
MOST_ALIASED = 1_000
"""The greatest number of values that aliases may add to a file."""


class _Open(Struct):
    """An unfinished mapping or list. `key` is a mapping's key that still lacks its value."""

    node: Node
    key: str | None = None
    key_position: Position | None = None
    dropped: bool = False
    """Whether the next value belongs to an unusable key."""


class _Builder(Struct):
    """An unfinished document."""

    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    findings: list[tuple[Position, Finding]] = field(default_factory=list)
    root: Node | None = None

    def path(self) -> Path:
        """Return the path of the next value, or of the mapping if a key comes next."""
        parts = (
            len(level.node.value) if isinstance(level.node.value, list) else level.key
            for level in self.stack
        )
        return tuple(part for part in parts if part is not None)

    def report(self, position: Position, rule: str, message: str) -> None:
        self.findings.append((position, Finding(self.path(), rule, message)))

    def wants_key(self) -> bool:
        if not self.stack:
            return False
        top = self.stack[-1]
        return isinstance(top.node.value, dict) and top.key is None and not top.dropped

    def take_key(self, text: str, position: Position, *, plain: bool) -> None:
        top = self.stack[-1]
        first = top.node.keys.get(text)
        top.key, top.key_position = text, position
        if text == "<<" and plain:
            self.report(position, "merge-key", "merge keys are not supported: write the fields out")
        elif len(text) > LONGEST_KEY:
            top.key = None
            self.report(
                position, "bad-key", f"a key of {len(text):,} characters: no field has such a name"
            )
        elif first:
            self.report(
                position,
                "duplicate-key",
                f"{quoted(text)} stands here already, in line {first.line}: remove one of the two",
            )
        else:
            return
        top.key, top.dropped = None, True

    def drop_key(self, position: Position) -> None:
        self.report(position, "bad-key", "a key must be a word of text: no list, mapping or alias")

    def attach(self, node: Node) -> None:
        """Add a complete value to its parent."""
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if isinstance(top.node.value, list):
            top.node.append(node)
        elif top.key is not None and top.key_position is not None:
            top.node.add(top.key, top.key_position, node)
            top.key = None
        else:
            # This is either an unusable key or the value of one.
            top.dropped = not top.dropped


class _Reader:
    """The reader of one file. `documents` raises `UnusableDocument` if the rest cannot be read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._parser = CParser(text.encode())
        self._last: Event | None = None
        self._values = 0
        self._aliased = 0

    def documents(self) -> Iterator[Document]:
        builder = _Builder()
        while True:
            event = self._next()
            if isinstance(event, NodeEvent):
                self._take(builder, event)
            elif isinstance(event, CollectionEndEvent):
                builder.attach(builder.stack.pop().node)
            elif isinstance(event, DocumentStartEvent):
                builder = _Builder()
            elif isinstance(event, DocumentEndEvent):
                if builder.root and not _is_empty(builder.root):
                    yield Document(builder.root, tuple(builder.findings))
            elif isinstance(event, StreamEndEvent):
                return

    def _next(self) -> Event:
        try:
            event: Event = self._parser.get_event()
        except MarkedYAMLError as error:
            raise explain(error, self._text, self._last) from error
        self._last = event
        return event

    def _take(self, builder: _Builder, event: NodeEvent) -> None:
        position = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        self._values += 1
        if self._values > MOST_VALUES:
            raise UnusableDocument(
                position, "too-many-values", f"a file may hold {MOST_VALUES:,} values: split it"
            )
        if isinstance(event, AliasEvent):
            self._take_alias(builder, event.anchor, position)
            return
        tag = event.tag  # type: ignore[attr-defined]  # scalars and collections have one
        if tag is not None:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            builder.report(
                position,
                "tag",
                f"tags such as {quoted(short)} are not supported: remove it, and "
                "quote the value if it is text",
            )
        if isinstance(event, ScalarEvent):
            self._take_scalar(builder, event, position)
        else:
            self._open(builder, event, position)

    @staticmethod
    def _take_scalar(builder: _Builder, event: ScalarEvent, position: Position) -> None:
        plain = not event.style
        if builder.wants_key():
            builder.take_key(event.value, position, plain=plain)
            node = Node(event.value, position)
        else:
            value = (
                _resolved(builder, event.value, position)
                if plain and event.tag is None
                else event.value
            )
            node = Node(value, position, None if isinstance(value, str) else event.value)
            builder.attach(node)
        if event.anchor:
            builder.anchors[event.anchor] = node

    @staticmethod
    def _open(builder: _Builder, event: NodeEvent, position: Position) -> None:
        if len(builder.stack) == DEEPEST:
            raise UnusableDocument(
                position,
                "too-deep",
                f"values may be nested {DEEPEST} deep: a manifest needs less than ten",
            )
        if builder.wants_key():
            builder.drop_key(position)
        node = (
            Node({}, position, children={})
            if isinstance(event, MappingStartEvent)
            else Node([], position)
        )
        if event.anchor:
            builder.anchors[event.anchor] = node
        builder.stack.append(_Open(node))

    def _take_alias(self, builder: _Builder, name: str, position: Position) -> None:
        target = builder.anchors.get(name)
        if builder.wants_key():
            builder.drop_key(position)
        if target is None:
            builder.report(
                position,
                "unknown-alias",
                f"no anchor {quoted('&' + name)} stands before this alias in its document",
            )
        elif any(level.node is target for level in builder.stack):
            raise UnusableDocument(
                position,
                "recursive-alias",
                f"the alias {quoted('*' + name)} stands inside of what it "
                "stands for: write the value out",
            )
        else:
            self._aliased += target.size
            if self._aliased > MOST_ALIASED:
                raise UnusableDocument(
                    position,
                    "alias-bomb",
                    f"aliases may add {MOST_ALIASED:,} values to a file: write the values out",
                )
        builder.attach(
            replace(target, position=position, anchor=Anchor(name, target.position.line))
            if target
            else Node(None, position)
        )


def _resolved(builder: _Builder, text: str, position: Position) -> Scalar:
    try:
        return resolve(text)
    except AmbiguousNumber as error:
        hidden = is_secret(builder.path())
        builder.report(
            position,
            "ambiguous-number",
            "a number in this form is read differently by every reader: put it in quotes"
            if hidden
            else f"{quoted(text)}: {error}",
        )
        return text


def _is_empty(root: Node) -> bool:
    return root.value is None and root.source == ""


def read(data: bytes) -> tuple[list[Document], UnusableDocument | None]:
    """Return the documents of a file that are not empty, and the error that ended reading, if
    any."""
    documents: list[Document] = []
    try:
        for document in _Reader(text_encoding.decode(data)).documents():
            documents.append(document)  # noqa: PERF402  # keep the documents before an error
    except UnusableDocument as unusable:
        return documents, unusable
    return documents, None
