"""What the manifests' directory holds, as planning sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from reconciler.manifests.effective_manifest import digest, resolve_paths
from reconciler.model.history import LastGood
from reconciler.model.secret import REDACTED
from reconciler.model.spec import (
    Declared,
    Destination,
    MailCollector,
    Manifest,
    MergedCollector,
    SecretRef,
)

M = TypeVar("M", bound=Declared)
Key = tuple[str, str]
"""(kind, name)."""


class Declaration(Struct, frozen=True):
    """A valid manifest and where it stands. `effective` has its relative paths made absolute, from
    `base`."""

    manifest: Manifest
    effective: Manifest
    digest: str
    effective_digest: str
    file: str
    line: int
    base: str
    kind: str = ""
    """The manifest's, and so are the next two: what is asked for thousands of times in each turn is
    looked up once."""
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
    """A manifest that is invalid, or at odds with another one, but whose name could be read."""

    kind: str
    name: str
    file: str
    line: int
    message: str


class ObservedManifests(Struct, frozen=True):
    """One look at the directory. `unreadable` and `unclear` say, for each file that could not be
    read or whose manifests could not all be told apart, why; `vanished`, why the directory itself
    is not there. What is `leaving` was there a moment ago, and perhaps is only being replaced. That
    the collectors in `removed` are gone is meant."""

    declarations: tuple[Declaration, ...] = ()
    broken: tuple[BrokenManifest, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)
    vanished: str = ""
    empty_confirmed: bool = False
    reroute_confirmed: bool = False
    """That mail goes to another default Destination than before is meant."""
    leaving: frozenset[Key] = frozenset()
    removed: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    """The collectors that run, or whose last session is not over yet."""


def declaration(manifest: Manifest, file: str, line: int, base: str) -> Declaration:
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


def parsed(kind: str, text: str) -> Manifest:
    """The manifest of a `LastGood`. Raises ValueError where this version no longer accepts it."""
    return model_of(kind, json.loads(text)).model_validate_json(text)


def model_of(kind: str, manifest: Mapping[str, Any]) -> type[MailCollector | Destination]:
    """What a manifest that was in force is read with."""
    if kind == "Destination":
        return Destination
    return MergedCollector if "templateDigest" in manifest else MailCollector


def last_good(declaration: Declaration) -> LastGood:
    text = declaration.manifest.model_dump_json(by_alias=True, exclude_none=True)
    return LastGood(
        declaration.kind,
        declaration.name,
        declaration.file,
        declaration.line,
        declaration.base,
        text,
    )


def difference(
    before: Mapping[Key, Declaration], now: Mapping[Key, Declaration]
) -> tuple[list[LastGood], list[Key]]:
    """What there is to remember anew, and what to forget."""
    changed = [
        last_good(declaration)
        for key, declaration in now.items()
        if not _same(before.get(key), declaration) and not holds_secret(declaration.manifest)
    ]
    return changed, _gone(before, now)


def holds_secret(part: object) -> bool:
    """Whether a secret stands in the manifest itself (`password: {value: …}`): then it is not
    remembered, for secrets belong into no ledger, and there is no last good version of it after a
    restart."""
    if isinstance(part, SecretRef):
        return part.value is not None
    return isinstance(part, Declared) and any(holds_secret(value) for _, value in part)


def hidden(part: M) -> M:
    """Without the secrets that stand in it."""
    if isinstance(part, SecretRef):
        return part if part.value is None else part.model_copy(update={"value": REDACTED})
    return part.model_copy(
        update={name: hidden(value) for name, value in part if isinstance(value, Declared)}
    )


def _same(before: Declaration | None, now: Declaration) -> bool:
    return before is now or before == now


def _gone(before: Mapping[Key, Declaration], now: Mapping[Key, Declaration]) -> list[Key]:
    return [
        key
        for key, declaration in before.items()
        if key not in now or (now[key] is not declaration and holds_secret(now[key].manifest))
    ]
