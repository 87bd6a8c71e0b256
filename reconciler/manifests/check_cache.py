"""A cache of the results of `validate`, from one call to the next.

A file counts as unchanged while its stat signature or its content is the same, because a checkout
rewrites every file. Results of another version of this program are not used. The cache has no file
contents, only names, positions, diagnostics (which quote no secret) and a digest of each account.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from reconciler.disk import opened_directory, replacing
from reconciler.manifests import manifest_files
from reconciler.manifests.checks.duplicate_accounts import Mailbox
from reconciler.manifests.diagnostics import Diagnostic, Position, Severity
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.manifests.parallel_parsing import program_digest

_UNUSED = 30 * 86400
"""Seconds after which an unused cache file is removed."""


class CachedCheck(Struct, frozen=True):
    """The result for one file: the number of valid manifests, the summaries, the diagnostics, and
    the stamps of the templates that it depends on, by name."""

    valid: int
    names: tuple[ManifestSummary, ...]
    diagnostics: tuple[Diagnostic, ...]
    stamps: Mapping[str, str] = field(default_factory=dict)


class _CacheEntry(Struct, frozen=True):
    """The result for a file, with the file's stat signature and digest."""

    signature: list[Any] | None
    digest: str
    found: CachedCheck

    def row(self) -> list[Any]:
        """Return the entry as the cache file has it."""
        diagnostics = [
            [one.line, one.column, one.path, one.rule, str(one.severity), one.message]
            for one in self.found.diagnostics
        ]
        names = [_shown(one) for one in self.found.names]
        stamps = dict(self.found.stamps)
        return [self.signature, self.digest, self.found.valid, names, diagnostics, stamps]


def place(paths: Iterable[Path]) -> Path | None:
    """Return the path of the cache for these files and directories (XDG Base Directory
    Specification), or None for a user without a home directory."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in passwd(5), as in many containers
        return None
    # links stay as they are
    called = b"\0".join(os.fsencode(os.path.abspath(path)) for path in paths)  # noqa: PTH100
    return base / "mailcollector" / f"validate-{hashlib.sha256(called).hexdigest()[:16]}.json"


class CheckCache:
    """The cache of one call of `validate`.

    `about` describes the options that the results depend on. Without a file, or with an unusable
    one, the cache is empty.
    """

    def __init__(self, file: Path | None, about: str) -> None:
        self._file = file
        self._version = f"{program_digest()} {about}"
        self._old = self._read()
        """Rows of the cache file. A row is removed once it is used, so that no result is in
        memory twice."""
        self._new: dict[str, _CacheEntry] = {}
        self._changed = False
        self._seen: dict[str, tuple[list[Any] | None, str | None]] = {}

    def find(self, path: Path) -> CachedCheck | None:
        """Return the last result for a file, or None if it is unknown or outdated.

        Call this before the file is read and checked: the signature must be the older one.
        """
        key = _key(path)
        kept = self._old.get(key)
        seen = _signature(path)
        if kept is None or seen is None or seen != kept[0]:
            data = _read(path)
            digest = None if data is None else hashlib.sha256(data).hexdigest()
            self._seen[key] = (seen, digest)
            if kept is None or digest != kept[1]:
                return None
        self._seen[key] = (seen, kept[1])
        names = tuple(_named(one, str(path)) for one in kept[3])
        if any(one.kind == "Template" for one in names):
            return None  # the templates themselves are needed, and they are not in the cache
        found = CachedCheck(
            kept[2], names, tuple(_diagnostic(one, str(path)) for one in kept[4]), kept[5]
        )
        del self._old[key]
        self._changed |= seen != kept[0]
        self._new[key] = _CacheEntry(seen, kept[1], found)
        return found

    def add(self, path: Path, found: CachedCheck) -> None:
        """Add a new result for a file that `find` was asked about before."""
        key = _key(path)
        signature, digest = self._seen.get(key, (None, None))
        if self._new.pop(key, None) is not None:
            self._changed = True
        if signature is not None and digest is not None:  # else it is changing
            entry = self._new[key] = _CacheEntry(signature, digest, found)
            self._changed |= entry.row() != self._old.pop(key, None)

    def save(self) -> None:
        """Write the cache file. Errors are ignored: without a cache the next call takes longer."""
        if self._file is None or not (self._changed or self._old):
            return
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for other in self._file.parent.glob("validate-*.json"):
                if other.stat().st_mtime < time.time() - _UNUSED:
                    other.unlink()
            draft_name = f".validate-{secrets.token_hex(4)}"
            with (
                opened_directory(self._file.parent) as directory,
                replacing(directory, self._file.name, draft_name, durable=False) as draft,
            ):
                self._write(draft)

    def _write(self, draft: int) -> None:
        """Write the rows one by one: all of them at once would take as much memory again."""
        with os.fdopen(draft, "wb", closefd=False) as file:
            file.write(f'{{"version":{json.dumps(self._version)},"files":{{'.encode())
            for number, (key, entry) in enumerate(self._new.items()):
                row = json.dumps(entry.row(), separators=(",", ":"))
                file.write(f"{',' * bool(number)}{json.dumps(key)}:{row}".encode())
            file.write(b"}}")

    def _read(self) -> dict[str, list[Any]]:
        if self._file is None:
            return {}
        try:
            kept = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(kept, dict) or kept.get("version") != self._version:
            return {}
        found: dict[str, list[Any]] = kept["files"]
        return found


def _key(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # links stay as they are


def _signature(path: Path) -> list[Any] | None:
    found = manifest_files.signature(path)
    return None if found is None else list(found)


def _read(path: Path) -> bytes | None:
    try:
        return manifest_files.read(path)
    except manifest_files.Unreadable:
        return None


def _shown(one: ManifestSummary) -> list[Any]:
    mailbox = one.mailbox and [one.mailbox.account, one.mailbox.folders, one.mailbox.takes_away]
    marks = {path: [mark.line, mark.column] for path, mark in one.marks.items()}
    return [
        one.kind,
        one.name,
        one.line,
        one.destination,
        one.default,
        mailbox,
        marks,
        one.template,
        one.refresh_token,
    ]


def _named(kept: list[Any], file: str) -> ManifestSummary:
    kind, name, line, destination, default, mailbox, marks, template, refresh = kept
    read = Mailbox(mailbox[0], tuple(mailbox[1]), mailbox[2]) if mailbox else None
    return ManifestSummary(
        kind,
        name,
        file,
        line,
        destination,
        default,
        read,
        {path: Position(*mark) for path, mark in marks.items()},
        template,
        refresh,
    )


def _diagnostic(kept: list[Any], file: str) -> Diagnostic:
    line, column, path, rule, severity, message = kept
    return Diagnostic(file, line, column, path, rule, Severity(severity), message)
