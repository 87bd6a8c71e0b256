"""The effective spec of a collector, line by line, with where each value comes from. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from reconciler.manifests.yaml.plain_scalars import AmbiguousNumber, resolve
from reconciler.model.spec import CollectorSpec

_OLD_WORDS = frozenset({"y", "n", "yes", "no", "on", "off"})
"""What YAML 1.1 reads as true or false."""
_PLAIN = re.compile(r"[\w/.][\w/.@+-]*")
Provenance = Literal["own", "template", "default"]


class EffectiveLine(Struct, frozen=True):
    """A line of YAML. `origin` is where its value comes from; of a mapping's key it is "" where
    its values come from several places."""

    text: str
    origin: str


def effective_lines(
    own: Mapping[str, Any], spec: CollectorSpec, shown: Mapping[str, Any]
) -> tuple[EffectiveLine, ...]:
    """Return the lines of an effective spec.

    `own` is the spec as it stands in the collector's document, `spec` is merged with its template.
    `shown` is the effective spec without secrets, with the defaults.
    """
    given = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return tuple(_mapping(shown, own, given, 0))


def _mapping(shown: Mapping[str, Any], own: Any, given: Any, depth: int) -> Iterator[EffectiveLine]:
    for key, value in shown.items():
        yield from _entry(key, value, _at(own, key), _at(given, key), depth)


def _entry(key: str, value: Any, own: Any, given: Any, depth: int) -> Iterator[EffectiveLine]:
    head = f"{'  ' * depth}{key}:"
    if isinstance(value, dict) and value:
        lines = list(_mapping(value, own, given, depth + 1))
        origins = {line.origin for line in lines}
        yield EffectiveLine(head, origins.pop() if len(origins) == 1 else "")
        yield from lines
        return
    origin = _origin(own, given)
    if isinstance(value, list) and value:
        yield EffectiveLine(head, origin)
        for item in value:
            text = _scalar(item)
            yield EffectiveLine(f"{'  ' * (depth + 1)}- {text}", origin)
        return
    yield EffectiveLine(f"{head} {_scalar(value)}", origin)


def _at(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _origin(own: Any, given: Any) -> Provenance:
    if own is not None:
        return "own"
    return "template" if given is not None else "default"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Return whether YAML reads this text as itself without quotes."""
    if text.casefold() in _OLD_WORDS:
        return False
    try:
        return _PLAIN.fullmatch(text) is not None and resolve(text) == text
    except AmbiguousNumber:
        return False
