"""Access of the rules to a document's values, except those that the schema refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.manifests.diagnostics import Path
from reconciler.manifests.yaml.document_nodes import Document


class Fields:
    """Values by path. Values at or below the paths of `doubtful` are hidden."""

    def __init__(self, document: Document, doubtful: Iterable[Path]) -> None:
        self._document = document
        self._doubtful = frozenset(doubtful)

    def has(self, *path: str) -> bool:
        """Return whether the key is present, whatever its value."""
        return self._document.at(path) is not None and not self._is_doubtful(path[:-1])

    def is_set(self, *path: str) -> bool:
        """Return whether there is a value other than an empty one, 0 or false."""
        return bool(self._usable(path))

    def text(self, *path: str) -> str | None:
        """Return the text at a path, or None if there is none."""
        value = self._usable(path)
        return value if isinstance(value, str) else None

    def texts(self, *path: str) -> tuple[str, ...]:
        """Return the elements of a list of texts, or none if one of them is wrong."""
        value = self._usable(path)
        if not isinstance(value, list) or any(
            wrong[: len(path)] == path for wrong in self._doubtful
        ):
            return ()
        return tuple(element for element in value if isinstance(element, str))

    def _usable(self, path: Path) -> Any:
        node = self._document.at(path)
        return None if node is None or self._is_doubtful(path) else node.value

    def _is_doubtful(self, path: Path) -> bool:
        return bool(self._doubtful) and any(
            path[:length] in self._doubtful for length in range(1, len(path) + 1)
        )
