"""The text of new manifests in the style of a person: blocks, and small values in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.manifests.editing.yaml_patch import yaml_value

_WIDEST = 80


def collector(
    name: str,
    spec: Mapping[str, Any],
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    comments: Iterable[str] = (),
    modeline: str = "",
) -> str:
    """Return the text of a collector's manifest, with `modeline` and `comments` at the top. Empty
    fields of `spec` and those that are None are left out."""
    metadata: dict[str, Any] = {
        "name": name,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
    }
    manifest = {
        "apiVersion": "mailcollector/v1",
        "kind": "MailCollector",
        "metadata": metadata,
        "spec": spec,
    }
    return "".join([modeline, *(f"# {line}\n" for line in comments), *_block(filled(manifest), "")])


def manifest_text(data: Mapping[str, Any], *, modeline: str = "") -> str:
    """Return the text of a manifest with exactly this data, the fields of the top in their usual
    order."""
    usual = [key for key in ("apiVersion", "kind", "metadata", "spec") if key in data]
    ordered = {key: data[key] for key in dict.fromkeys([*usual, *data])}
    return "".join([modeline, *_block(ordered, "")] if data else [modeline, "{}\n"])


def filled(value: Any) -> Any:
    """Return a manifest's JSON value without the fields that have no value."""
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, tuple) else value
    below_it = {key: filled(below) for key, below in value.items()}
    return {
        key: below
        for key, below in below_it.items()
        if below is not None and below not in ({}, (), [])
    }


def _block(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        line = f"{indent}{key}: {yaml_value(value)}\n"
        if isinstance(value, Mapping) and (len(line) > _WIDEST or _is_large(value)):
            yield f"{indent}{key}:\n"
            yield from _block(value, indent + "  ")
        else:
            yield line


def _is_large(mapping: Mapping[str, Any]) -> bool:
    return len(mapping) > 1 or any(isinstance(value, Mapping) for value in mapping.values())


def destination(name: str, spec: Mapping[str, Any], *, modeline: str = "") -> str:
    """Return the text of a Destination's manifest."""
    manifest = {
        "apiVersion": "mailcollector/v1",
        "kind": "Destination",
        "metadata": {"name": name},
        "spec": spec,
    }
    return "".join([modeline, *_block(filled(manifest), "")])
