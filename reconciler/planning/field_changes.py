"""Find the differences between two versions of a collector, field by field, and the consequences
for the mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from reconciler.model.secret import REDACTED
from reconciler.model.spec import SourceSpec
from reconciler.planning.desired_state import DesiredCollector


class FieldChange(Struct, frozen=True):
    """A field that differs, with its values in the effective specs, where paths are absolute.
    None: the field is missing. A secret in the manifest itself is hidden. The names of a
    Destination's fields begin with `destination.`."""

    field: str
    before: Any
    after: Any


def changes(before: DesiredCollector | None, after: DesiredCollector) -> tuple[FieldChange, ...]:
    """Return the differences in the order of the manifest. For a new collector these are the fields
    that differ from the defaults."""
    old, new = _fields(before) if before else {}, _fields(after, defaults=before is not None)
    names = dict.fromkeys([*new, *old])
    return tuple(
        FieldChange(name, _shown(name, old.get(name)), _shown(name, new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    )


def consequences(before: DesiredCollector, after: DesiredCollector) -> tuple[str, ...]:
    """Return sentences about what the change means for the messages; none where it means
    nothing."""
    return tuple(_consequences(before, after))


def _consequences(before: DesiredCollector, after: DesiredCollector) -> Iterator[str]:
    old, new = before.effective.collect.mode, after.effective.collect.mode
    if new == "all-delete" != old:
        yield (
            "collects again: with all-delete everything on the server is collected, what was "
            "collected before too, and then deleted there"
        )
    elif new == "new-delete" and old == "new-keep":
        yield (
            "deletes on the server: with new-delete everything that was collected is deleted "
            "there, earlier mail too"
        )
    if before.destination_name != after.destination_name:
        yield (
            f"another destination: its mail goes to {_destination(after)}, no longer to "
            f"{_destination(before)}"
        )
    if (
        _account(before.effective.source) != _account(after.effective.source)
        and new != "all-delete"
    ):
        yield (
            "another account: what was collected before is recognised there by its content, "
            "everything else counts as new"
        )


def _destination(collector: DesiredCollector) -> str:
    return collector.destination_name or "the state directory"


def _account(source: SourceSpec) -> tuple[str, str, int, str]:
    return source.protocol, source.host, source.effective_port, source.username


def _fields(collector: DesiredCollector, *, defaults: bool = True) -> dict[str, Any]:
    how: dict[str, Any] = {
        "mode": "json",
        "by_alias": True,
        "exclude_defaults": not defaults,
    }
    fields = dict(_leaves("spec", collector.effective.model_dump(**how)))
    if collector.destination_name:
        fields["spec.destination"] = collector.destination_name
    if collector.destination and defaults:
        spec = collector.destination.model_dump(**how)
        spec.pop("default", None)  # which one is the default shows in the collector's own field
        fields.update(_leaves("destination.spec", spec))
    return fields


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(f"{path}.{key}", below)
    else:
        yield path, value


def _shown(field: str, value: Any) -> Any:
    return REDACTED if field.endswith(_INLINE) and value is not None else value


_INLINE = ("password.value", "clientSecret.value", "refreshToken.value")
