"""The manifests of the directory as planning sees them, and the last good manifests of the
ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from reconciler.manifests.effective_manifest import digest, resolve_paths
from reconciler.model.history import LastGood
from reconciler.model.manifest_secrets import holds_secret
from reconciler.model.spec import (
    Destination,
    MailCollector,
    Manifest,
    MergedCollector,
)

Key = tuple[str, str]
"""(kind, name)."""


class Declaration(Struct, frozen=True):
    """A valid manifest and where it stands. In `effective`, relative paths are absolute: they start
    at the directory `base`.

    `kind`, `name` and `key` are the manifest's. They are looked up once, because each turn asks for
    them thousands of times.
    """

    manifest: Manifest
    effective: Manifest
    digest: str
    effective_digest: str
    file: str
    line: int
    base: str
    kind: str = ""
    name: str = ""
    key: Key = ("", "")

    def __post_init__(self) -> None:
        kind, name = self.manifest.kind, self.manifest.metadata.name
        for slot, value in (("kind", kind), ("name", name), ("key", (kind, name))):
            force_setattr(self, slot, value)

    @property
    def source(self) -> str:
        return f"{self.file}:{self.line}"


class BrokenManifest(Struct, frozen=True):
    """A manifest with a readable name that is invalid or contradicts another one."""

    kind: str
    name: str
    file: str
    line: int
    message: str


class ObservedManifests(Struct, frozen=True):
    """One look at the directory."""

    declarations: tuple[Declaration, ...] = ()
    broken: tuple[BrokenManifest, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Files and directories that could not be read, and why."""
    unclear: Mapping[str, str] = field(default_factory=dict)
    """Files whose manifests could not all be told apart, and why."""
    vanished: str = ""
    """The reason why the directory itself is missing; "" if it is there."""
    empty_confirmed: bool = False
    """Whether all collectors may vanish at once."""
    reroute_confirmed: bool = False
    """Whether mail may go to another default Destination than before."""
    confirmed_rerouting: str = ""
    """The reason of the one such change that somebody confirmed; "" for none."""
    leaving: frozenset[Key] = frozenset()
    """Manifests that were there a moment ago, and are perhaps only being replaced."""
    removed: frozenset[str] = frozenset()
    """Collectors that somebody removed on purpose."""
    ending: frozenset[str] = frozenset()
    """Collectors that run, or whose last session is not over yet."""


def declare(manifest: Manifest, file: str, line: int, base: str) -> Declaration:
    """Return the declaration of a manifest that stands there."""
    effective = resolve_paths(manifest, base)
    own = digest(manifest.spec)
    return Declaration(
        manifest,
        effective,
        own,
        own if effective is manifest else digest(effective.spec),
        file,
        line,
        base,
    )


def parse_last_good(kind: str, text: str) -> Manifest:
    """Return the manifest of a `LastGood`. Raises ValueError where this version no longer accepts
    it."""
    return model_of(kind, json.loads(text)).model_validate_json(text)


def model_of(kind: str, manifest: Mapping[str, Any]) -> type[MailCollector | Destination]:
    """Return the model of a manifest that was in force."""
    if kind == "Destination":
        return Destination
    return MergedCollector if "templateDigest" in manifest else MailCollector


def to_last_good(declared: Declaration) -> LastGood:
    """Return what the ledger keeps of a manifest in force."""
    text = declared.manifest.model_dump_json(by_alias=True, exclude_none=True)
    return LastGood(declared.kind, declared.name, declared.file, declared.line, declared.base, text)


def last_good_changes(
    before: Mapping[Key, Declaration], now: Mapping[Key, Declaration]
) -> tuple[list[LastGood], list[Key]]:
    """Return which last good manifests the ledger is to keep anew, and which it is to forget."""
    changed = [
        to_last_good(declared)
        for key, declared in now.items()
        if not _is_same(before.get(key), declared) and not holds_secret(declared.manifest)
    ]
    gone = [
        key
        for key, declared in before.items()
        if key not in now or (now[key] is not declared and holds_secret(now[key].manifest))
    ]
    return changed, gone


def _is_same(before: Declaration | None, now: Declaration) -> bool:
    return before is now or before == now
