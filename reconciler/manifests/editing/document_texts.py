"""The texts of a file's documents, each from its start to the next one's."""

from __future__ import annotations

import codecs
import itertools
from pathlib import Path

from msgspec import Struct

# from a compiled module without types
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, NodeEvent, StreamEndEvent

from reconciler.manifests.editing.modeline import is_modeline


class DeclaredDocument(Struct, frozen=True):
    """The document of a collector: `text[start:end]` of a file with the content `data`."""

    path: Path
    data: bytes
    text: str
    start: int
    end: int

    @property
    def own(self) -> str:
        """Return the document's text."""
        return self.text[self.start : self.end]

    def with_own(self, own: str) -> bytes:
        """Return the file's content with another text of the document."""
        mark = codecs.BOM_UTF8 if self.data.startswith(codecs.BOM_UTF8) else b""
        return mark + (self.text[: self.start] + own + self.text[self.end :]).encode()


def documents(text: str) -> list[tuple[int, int, int]]:
    """Return each document's root line and the start and end of its text; those without content are
    left out. Raises MarkedYAMLError."""
    roots: list[tuple[int, int]] = []  # line, and which document it is
    begins: list[int] = []
    parser, waiting = CParser(text.encode()), False
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            begins.append(event.start_mark.index if begins else 0)
            waiting = True
        elif waiting and isinstance(event, NodeEvent):
            if event.end_mark.index > event.start_mark.index or getattr(event, "value", None) != "":
                roots.append((event.start_mark.line + 1, len(begins) - 1))
            waiting = False
        elif isinstance(event, DocumentEndEvent):
            waiting = False
    bounds = [*begins, len(text)]
    return [(line, bounds[number], bounds[number + 1]) for line, number in roots]


def header(own: str, following: str) -> str:
    """Return the lines to keep for the file when its first document is removed.

    These are the comments before its `---`, or otherwise the schema's comment. The latter is left
    out if the next document has one.
    """
    before, marker, _ = own.partition("\n---")
    lines = before.splitlines(keepends=True)
    has_own = any(map(is_modeline, itertools.takewhile(_is_preamble, following.splitlines())))
    if marker and all(not line.strip() or line.startswith("#") for line in lines):
        return "".join(
            line
            for line in f"{before}\n".splitlines(keepends=True)
            if not (has_own and is_modeline(line))
        )
    return "" if has_own else "".join(filter(is_modeline, lines))


def _is_preamble(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "---"))
