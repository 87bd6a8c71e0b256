"""What is wrong with each of many files: read by several processes, and not at all where it is
known already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.check_cache import Judgement, Judgements
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.directory_walk import Oddities
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_set import Content, FileRecord, ManifestSet
from reconciler.manifests.manifest_summary import Named
from reconciler.manifests.parallel_parsing import MANY
from reconciler.model.manifest_policy import allowed


class Judged(Struct, frozen=True):
    """One file: how many of its manifests are valid, all whose names are known, and what is
    wrong."""

    file: str
    valid: int
    names: tuple[Named, ...]
    diagnostics: tuple[Diagnostic, ...]
    uses: frozenset[str] = frozenset()
    """The templates that its collectors name."""

    def named(self) -> tuple[Named, ...]:
        return self.names


def judge(
    paths: Sequence[Path],
    *,
    whole: bool = True,
    allow_inline_secrets: bool = False,
    kept: Path | None = None,
    oddities: Mapping[Path, Oddities] | None = None,
    given: Mapping[Path, bytes] | None = None,
) -> list[Judged]:
    """Every file, in this order. `whole`: a template that is in none of them is nowhere. `kept`: a
    file to remember judgements in, for the next time that there are many. `oddities`: of the walk
    that found a path; for one that was named by itself, none. `given`: the content of what can be
    read only once."""
    found_by = {path: (oddities or {}).get(path) or Oddities.beside(path) for path in paths}
    manifests = ManifestSet(_judged, whole=whole, allow_inline_secrets=allow_inline_secrets)

    def content(path: Path) -> FileRecord[Judged] | Content:
        if given and path in given:
            return Content(given[path])
        return manifests.read(path, found_by[path])

    if len(paths) < MANY or given:
        return manifests.refresh({str(path): content(path) for path in paths}).results
    judgements = Judgements(kept, f"inline secrets: {allow_inline_secrets}, policy: {allowed()}")
    found: dict[str, FileRecord[Judged] | Content] = {}
    for path in paths:
        known = None if found_by[path].is_odd(path) else judgements.find(path)
        found[str(path)] = content(path) if known is None else _known(path, known)
    after = manifests.refresh(found, lambda name: content(Path(name)))
    for path in paths:
        record = after.records[str(path)]
        if record is not found[str(path)]:
            one = record.result
            judgements.add(path, Judgement(one.valid, one.names, one.diagnostics, record.stamps))
    judgements.save()
    return after.results


def _known(path: Path, known: Judgement) -> FileRecord[Judged]:
    judged = Judged(str(path), known.valid, known.names, known.diagnostics, frozenset(known.stamps))
    return FileRecord(judged, stamps=known.stamps)


def _judged(parsed: ParsedFile) -> Judged:
    valid = len(parsed.manifests) + sum(not template.error for template in parsed.templates)
    return Judged(parsed.file, valid, tuple(parsed.named()), parsed.diagnostics, parsed.uses)
