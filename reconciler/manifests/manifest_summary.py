"""The summary of a manifest: its name, and what the checks across all files need to know."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.manifests.checks import duplicate_accounts
from reconciler.manifests.checks.field_values import Fields
from reconciler.manifests.diagnostics import Path, Position, dotted
from reconciler.model.harmless_text import escape_unprintable

Kind = Literal["MailCollector", "Destination", "Template"]

_KINDS: Mapping[str, Kind] = {
    "MailCollector": "MailCollector",
    "Destination": "Destination",
    "Template": "Template",
}
_MARKED = (
    ("metadata", "name"),
    ("spec",),
    ("spec", "destination"),
    ("spec", "default"),
    ("spec", "source"),
    ("spec", "collect", "mode"),
)
"""The values that rules across files point at."""
_KEYS_MARKED = (("spec",), ("spec", "source"))


class ManifestSummary(Struct, frozen=True):
    """The facts about a manifest, valid or not, that the rules across files need."""

    kind: Kind
    name: str
    file: str
    line: int
    destination: str | None = None
    """The name of its Destination; "" for a name that cannot be read."""
    default: bool = False
    mailbox: duplicate_accounts.Mailbox | None = None
    """The mailbox that an enabled collector reads."""
    marks: Mapping[str, Position] = field(default_factory=dict)
    """The positions of the values in `_MARKED`, by dotted path."""
    template: str | None = None
    """The Template that a collector names in `from`."""
    refresh_token: str | None = None
    """The absolute path of an enabled collector's OAuth2 refresh token."""

    @property
    def place(self) -> str:
        """Return the manifest's file and line for a message."""
        return escape_unprintable(f"{self.file}:{self.line}")


class Summarised:
    """The base of classes that have a summary, `named`, and share its kind, name, file and line."""

    __slots__ = ()
    named: ManifestSummary

    @property
    def kind(self) -> Kind:
        return self.named.kind

    @property
    def name(self) -> str:
        return self.named.name

    @property
    def file(self) -> str:
        return self.named.file

    @property
    def line(self) -> int:
        return self.named.line


def of(
    fields: Fields,
    file: str,
    line: int,
    place: Callable[[Path, bool], Position],
    *,
    template: str | None = None,
) -> ManifestSummary | None:
    """Return the summary of a manifest, or None if its kind or name is unreadable.

    `place` returns the position of the value at a path, or of its key.
    """
    kind, name = _KINDS.get(fields.text("kind") or ""), fields.text("metadata", "name")
    if kind is None or not name:
        return None
    destination = fields.text("spec", "destination") or (
        "" if fields.has("spec", "destination") else None
    )
    mailbox = duplicate_accounts.of(fields) if kind == "MailCollector" else None
    return ManifestSummary(
        kind,
        name,
        file,
        line,
        destination,
        fields.is_set("spec", "default"),
        mailbox,
        {dotted(path): place(path, path in _KEYS_MARKED) for path in _MARKED},
        template,
        _refresh_token(fields, file) if mailbox else None,
    )


def _refresh_token(fields: Fields, file: str) -> str | None:
    path = fields.text("spec", "source", "oauth2", "refreshToken", "file")
    beside = os.path.dirname(file)  # noqa: PTH120
    return path and os.path.abspath(os.path.join(beside, path))  # noqa: PTH100, PTH118


def are_alike(before: Iterable[ManifestSummary], now: Iterable[ManifestSummary]) -> bool:
    """Return whether the rules across files find the same in both, apart from positions."""
    return [_without_places(one) for one in before] == [_without_places(one) for one in now]


def _without_places(one: ManifestSummary) -> ManifestSummary:
    return replace(one, line=0, marks={})
