"""A document's values as the rules read them: only those that the schema has nothing against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.manifests.diagnostics import Path
from reconciler.manifests.yaml.document_nodes import Document


class Fields:
    """Values by path; what stands at or below one of `doubtful` is not to be used."""

    def __init__(self, document: Document, doubtful: Iterable[Path]) -> None:
        self._document = document
        self._doubtful = frozenset(doubtful)

    def has(self, *path: str) -> bool:
        """Whether the key is there, whatever its value."""
        return self._document.at(path) is not None and not self._is_doubtful(path[:-1])

    def is_set(self, *path: str) -> bool:
        """Whether there is a value that is not empty, 0 or false."""
        return bool(self._usable(path))

    def text(self, *path: str) -> str | None:
        value = self._usable(path)
        return value if isinstance(value, str) else None

    def texts(self, *path: str) -> tuple[str, ...]:
        """The elements of a list of texts; none if any of them is wrong."""
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
