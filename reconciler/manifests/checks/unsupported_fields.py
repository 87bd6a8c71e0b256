"""What manifests may say already although this version cannot do it yet. One line each, to be
removed with the gap."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.spec import CollectorSpec, Declared, DestinationSpec

RULE = "not-supported-yet"


class Unsupported(Struct, frozen=True):
    """`safe`: the collector runs all the same, without the feature; otherwise it is Stalled,
    NotSupported."""

    path: tuple[str, ...]
    message: str
    safe: bool = False
    rule: str = RULE


GAPS: tuple[Unsupported, ...] = ()


def unsupported(
    spec: CollectorSpec, destination: DestinationSpec | None
) -> tuple[Unsupported, ...]:
    """What this collector asks for and does not get; a path is one of its own manifest, or of its
    destination's."""
    asked: list[Declared] = [spec, *([destination] if destination else [])]
    return tuple(gap for gap in GAPS if any(_asks(one, gap.path) for one in asked))


def _asks(spec: Declared, path: tuple[str, ...]) -> bool:
    value: object = spec
    for part in path[1:]:
        value = getattr(value, part, None)
    return bool(value)
