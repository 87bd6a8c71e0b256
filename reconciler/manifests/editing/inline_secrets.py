"""Hides inline secrets (`password: {value: …}`) in manifests that are shown, and restores them in
the text that comes back."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

# from a compiled module without types
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
)

from reconciler.manifests.diagnostics import Position, dotted, is_secret
from reconciler.manifests.editing.document_changes import plain_data
from reconciler.manifests.editing.yaml_patch import Keys, Setting, apply_settings
from reconciler.manifests.yaml import document_reader
from reconciler.model.errors import CollectorError
from reconciler.model.secret import REDACTED

_KEY = secrets.token_bytes(32)


class SecretHidden(CollectorError):
    """A manifest comes with what is shown instead of a secret, and there is no secret for it.
    `position` and `keys`: where."""

    reason = "SecretHidden"

    def __init__(self, message: str, position: Position, keys: Keys) -> None:
        super().__init__(message)
        self.position = position
        self.keys = keys


def hide_secrets(text: str) -> str:
    """Return the text of a file or document with each inline secret hidden. Raises
    YAMLError for text that is not YAML, which may hold a secret anywhere."""
    if "value" not in text:
        return text
    shown, end = [], 0
    for start, stop in _places(text):
        shown += [text[end:start], f'"{REDACTED}"']
        end = stop
    return "".join([*shown, text[end:]])


def digest(own: str) -> str:
    """Return what identifies a document's text. It does not help to guess an inline secret."""
    try:
        holds_one = hide_secrets(own) != own
    except YAMLError:
        holds_one = True
    if holds_one:
        return hmac.new(_KEY, own.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()


def hide_secrets_in_data(value: Any, path: Keys = ()) -> Any:
    """Return a document's data with each inline secret hidden."""
    if isinstance(value, dict):
        return {key: hide_secrets_in_data(one, (*path, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [hide_secrets_in_data(one, path) for one in value]
    return REDACTED if value is not None and _is_inline(path) else value


def restore_secrets(text: str, before: str | None) -> str:
    """Return a document's text in which each secret that is shown as hidden is the one of
    `before`. Raises SecretHidden, UnusableDocument and Unpatchable."""
    if REDACTED not in text:
        return text
    settings = []
    old = {} if before is None else plain_data(before)
    for path in _hidden_paths(plain_data(text)):
        value = old
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, str) or value == REDACTED:
            raise SecretHidden(
                f"{dotted(path)} is only what is shown instead of a secret: write the secret, or "
                "name the file that holds it",
                document_reader.read(text.encode())[0][0].place(path),
                path,
            )
        settings.append(Setting(path, value))
    return apply_settings(text, settings)


def _hidden_paths(value: Any, path: Keys = ()) -> Iterator[Keys]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _hidden_paths(one, (*path, key))
    elif value == REDACTED and _is_inline(path):
        yield path


def _is_inline(path: Keys) -> bool:
    """Return whether an inline secret stands at this path."""
    return len(path) > 1 and path[-1] == "value" and is_secret(path[-2:-1])


class _Level(Struct):
    """An open mapping (with the key whose value comes next) or list."""

    is_mapping: bool
    key: str | None = None


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each inline secret in the text."""
    parser = CParser(text.encode())
    stack: list[_Level] = []
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            stack = []
        elif isinstance(event, CollectionStartEvent):
            _is_key(event, stack)
            stack.append(_Level(isinstance(event, MappingStartEvent)))
        elif isinstance(event, CollectionEndEvent):
            stack.pop()
            if stack:
                stack[-1].key = None
        elif isinstance(event, ScalarEvent | AliasEvent) and not _is_key(event, stack):
            path = tuple(level.key or "" for level in stack if level.is_mapping)
            if isinstance(event, ScalarEvent) and event.value and _is_inline(path):
                start, end = event.start_mark.index, event.end_mark.index
                yield start, start + len(text[start:end].rstrip())
            if stack:
                stack[-1].key = None


def _is_key(event: Event, stack: list[_Level]) -> bool:
    """Return whether this is a key of the innermost mapping, and remember it there."""
    if not stack or not stack[-1].is_mapping or stack[-1].key is not None:
        return False
    stack[-1].key = str(getattr(event, "value", "")) or " "
    return True
