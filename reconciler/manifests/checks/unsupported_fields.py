"""Fields of manifests that this version does not support yet, one entry for each."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.spec import CollectorSpec, DestinationSpec, ManifestModel

RULE = "not-supported-yet"


class Unsupported(Struct, frozen=True):
    """A field that is not supported yet.

    `safe` means that the collector runs without the feature. Otherwise it is Stalled, NotSupported.
    """

    path: tuple[str, ...]
    message: str
    safe: bool = False
    rule: str = RULE


GAPS: tuple[Unsupported, ...] = ()


def unsupported(
    spec: CollectorSpec, destination: DestinationSpec | None
) -> tuple[Unsupported, ...]:
    """Return the unsupported fields that a collector or its destination uses."""
    asked: list[ManifestModel] = [spec, *([destination] if destination else [])]
    return tuple(gap for gap in GAPS if any(_asks(one, gap.path) for one in asked))


def _asks(spec: ManifestModel, path: tuple[str, ...]) -> bool:
    value: object = spec
    for part in path[1:]:
        value = getattr(value, part, None)
    return bool(value)
