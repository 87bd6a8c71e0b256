"""Changes of a collector's document that a form or a program asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # a compiled module
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import DocumentStartEvent, StreamEndEvent

from reconciler.manifests.diagnostics import Path
from reconciler.manifests.editing.new_manifests import manifest_text
from reconciler.manifests.editing.yaml_patch import MISSING, Keys, Setting, apply_settings
from reconciler.manifests.yaml import document_reader


def plain_data(own: str) -> Any:
    """Return the data of a document. Raises UnusableDocument."""
    found, unusable = document_reader.read(own.encode())
    if unusable:
        raise unusable
    return found[0].root.value if found else {}


def with_data(own: str, data: Mapping[str, Any]) -> str:
    """Return a document's text with this data: only fields that differ are changed. A null means
    that there is no such field. Raises Unpatchable and UnusableDocument."""
    before = plain_data(own)
    if not isinstance(before, dict):
        return manifest_text(data)
    return apply_settings(own, list(_differences((), before, data)))


def _differences(
    path: Keys, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Setting]:
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping) and value:
            yield from _differences((*path, key), old, value)
        elif value is not None and (value != old or type(value) is not type(old)):
            yield Setting((*path, key), without_nulls(value))
    for key in before:
        if after.get(key) is None:
            yield Setting((*path, key), MISSING)


def without_nulls(value: Any) -> Any:
    """Return the data without the fields that are null."""
    if isinstance(value, Mapping):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def half_character(value: Any, path: Path = ()) -> Path | None:
    """Return the path of a text with half of a surrogate pair, which no UTF-8 has; None without
    one."""
    if isinstance(value, str):
        return path if any("\ud800" <= one <= "\udfff" for one in value) else None
    parts = value.items() if isinstance(value, Mapping) else ()
    for part, below in enumerate(value) if isinstance(value, list) else parts:
        found = half_character(part, path) if isinstance(part, str) else None
        if found is None:
            found = half_character(below, (*path, part))
        if found is not None:
            return found
    return None


def with_enabled(own: str, *, enabled: bool) -> str:
    """Return a document's text with the collector enabled or disabled. Raises Unpatchable and
    UnusableDocument."""
    if enabled and _is_enabled(own):
        return own
    return apply_settings(own, [Setting(("spec", "enabled"), enabled)])


def _is_enabled(own: str) -> bool:
    """Return whether a collector is enabled. It is by default, if neither the manifest nor a
    template says otherwise."""
    found, unusable = document_reader.read(own.encode())
    if unusable or not found:
        return False
    node = found[0].at(("spec", "enabled"))
    return found[0].at(("spec", "from")) is None if node is None else node.value is True


def in_place_of(own: str, text: str) -> str:
    """Return a text that can stand in a file in the place of the document `own`, between others."""
    newline = "" if not text or text.endswith("\n") else "\n"
    marker = "---\n" if _has_marker(own) and not _has_marker(text) else ""
    return f"{marker}{text}{newline}"


def _has_marker(text: str) -> bool:
    """Return whether the text's first document begins with `---`."""
    parser = CParser(text.encode())
    try:
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                return bool(event.explicit)
    except YAMLError:
        pass
    return False
