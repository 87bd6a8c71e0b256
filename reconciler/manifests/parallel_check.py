"""Checks of many files for `validate`, in several processes and with a cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.check_cache import CachedCheck, CheckCache
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.directory_walk import SpecialPaths
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_set import Content, FileRecord, ManifestSet
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.manifests.parallel_parsing import MANY
from reconciler.model.manifest_policy import allowed


class CheckedFile(Struct, frozen=True):
    """The result of `validate` for one file.

    It has the number of valid manifests, the summaries of all manifests with a known name, and the
    diagnostics.
    """

    file: str
    valid: int
    names: tuple[ManifestSummary, ...]
    diagnostics: tuple[Diagnostic, ...]
    uses: frozenset[str] = frozenset()
    """The names of the templates that its collectors use."""

    def named(self) -> tuple[ManifestSummary, ...]:
        return self.names


def check_files(
    paths: Sequence[Path],
    *,
    whole: bool = True,
    allow_inline_secrets: bool = False,
    kept: Path | None = None,
    special_paths: Mapping[Path, SpecialPaths] | None = None,
    given: Mapping[Path, bytes] | None = None,
) -> list[CheckedFile]:
    """Check the files and return the results in the same order.

    - `whole`: a template that is in none of the files does not exist.
    - `kept`: the path of the cache, which is used only for many files.
    - `special_paths`: those of the walk that found a path; none for a path that the user named.
    - `given`: contents that can be read only once, such as standard input.
    """
    found_by = {
        path: (special_paths or {}).get(path) or SpecialPaths.beside(path) for path in paths
    }
    manifests = ManifestSet(_checked_file, whole=whole, allow_inline_secrets=allow_inline_secrets)

    def content(path: Path) -> FileRecord[CheckedFile] | Content:
        if given and path in given:
            return Content(given[path])
        return manifests.read(path, found_by[path])

    if len(paths) < MANY or given:
        return manifests.refresh({str(path): content(path) for path in paths}).results
    cache = CheckCache(kept, f"inline secrets: {allow_inline_secrets}, policy: {allowed()}")
    found: dict[str, FileRecord[CheckedFile] | Content] = {}
    for path in paths:
        known = None if found_by[path].is_special(path) else cache.find(path)
        found[str(path)] = content(path) if known is None else _known(path, known)
    cached = {name: one for name, one in found.items() if isinstance(one, FileRecord)}
    after = manifests.refresh(found, lambda name: content(Path(name)))
    found.clear()  # the contents are not needed any more
    for path in paths:
        record = after.records[str(path)]
        if record is not cached.get(str(path)):
            one = record.result
            cache.add(path, CachedCheck(one.valid, one.names, one.diagnostics, record.stamps))
    cache.save()
    return after.results


def _known(path: Path, known: CachedCheck) -> FileRecord[CheckedFile]:
    judged = CheckedFile(
        str(path), known.valid, known.names, known.diagnostics, frozenset(known.stamps)
    )
    return FileRecord(judged, stamps=known.stamps)


def _checked_file(parsed: ParsedFile) -> CheckedFile:
    valid = len(parsed.manifests) + sum(not template.error for template in parsed.templates)
    return CheckedFile(parsed.file, valid, tuple(parsed.named()), parsed.diagnostics, parsed.uses)
