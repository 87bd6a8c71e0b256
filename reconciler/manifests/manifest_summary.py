"""The summary of a manifest: its name, and what the checks across all files need to know."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from reconciler.manifests.checks import shared_mailboxes
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
"""What rules over the whole directory point at."""
_KEYS_MARKED = (("spec",), ("spec", "source"))


class ManifestSummary(Struct, frozen=True):
    """What the rules over all files need to know of a manifest, valid or not."""

    kind: Kind
    name: str
    file: str
    line: int
    destination: str | None = None
    """The Destination it names; "" where it names one that cannot be read."""
    default: bool = False
    mailbox: shared_mailboxes.Mailbox | None = None
    """What a collector that is enabled reads."""
    marks: Mapping[str, Position] = field(default_factory=dict)
    """Places of what `_MARKED` lists."""
    template: str | None = None
    """The Template that a collector names in `from`."""
    refresh_token: str | None = None
    """The file of an enabled collector's OAuth2 refresh token, from the root."""

    @property
    def place(self) -> str:
        """Where it stands, as a message tells it."""
        return escape_unprintable(f"{self.file}:{self.line}")


class Summarised:
    """Base of everything whose kind, name and position are those of its summary, `named`."""

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
    """None where kind or name cannot be told. `place`: where the value at a path stands, or its
    key."""
    kind, name = _KINDS.get(fields.text("kind") or ""), fields.text("metadata", "name")
    if kind is None or not name:
        return None
    destination = fields.text("spec", "destination") or (
        "" if fields.has("spec", "destination") else None
    )
    mailbox = shared_mailboxes.of(fields) if kind == "MailCollector" else None
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
