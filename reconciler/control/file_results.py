"""Convert the files of an observation into the input of planning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.control.declared_files import DeclaredFile
from reconciler.manifests.checks.cross_file_checks import CrossFileResult, check_across_files
from reconciler.manifests.diagnostics import Diagnostic, in_order
from reconciler.manifests.loading import Broken as BrokenDocument
from reconciler.manifests.loading import Loaded, ParsedFile
from reconciler.manifests.manifest_set import FileRecord
from reconciler.planning.observed_manifests import BrokenManifest, Key, ObservedManifests


def across_files(
    files: Mapping[str, FileRecord[DeclaredFile]], *, hidden: bool, only_errors: bool = False
) -> CrossFileResult:
    """Return the result of the rules across files. `hidden`: a Destination may exist that cannot be
    seen now."""
    parsed = [one.result.parsed for one in files.values()]
    return check_across_files(
        parsed,
        whole=not hidden and not any(may_hide_a_destination(file) for file in parsed),
        only_errors=only_errors,
    )


def observed_manifests(
    files: Mapping[str, FileRecord[DeclaredFile]],
    together: CrossFileResult,
    leaving: frozenset[Key],
    *,
    confirmed: tuple[bool, bool],
) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    parsed = [one.result.parsed for one in files.values()]
    diagnostics = in_order(
        [*(found for file in parsed for found in file.diagnostics), *together.diagnostics]
    )
    errors = _errors(diagnostics)
    broken = [_broken(one, errors) for file in parsed for one in file.broken]
    if refused := together.refused:
        broken += [
            _broken(one, errors)
            for file in parsed
            for one in file.manifests
            if (one.kind, one.name) in refused
        ]
    observed = ObservedManifests(
        declarations=tuple(
            found
            for one in files.values()
            for found in one.result.declarations
            if not refused or found.key not in refused
        ),
        broken=tuple(broken),
        unreadable={
            name: one.result.unreadable for name, one in files.items() if one.result.unreadable
        },
        unclear={
            name: _first(errors.get(name, ()), 1)
            for name, one in files.items()
            if _is_unclear(one.result)
        },
        empty_confirmed=confirmed[0],
        reroute_confirmed=confirmed[1],
        leaving=leaving,
    )
    return observed, tuple(diagnostics)


def _is_unclear(file: DeclaredFile) -> bool:
    """Return whether the manifests that the file held before may still be intended. An empty file
    may be one that is just being written."""
    empty = not file.parsed.manifests and not file.parsed.broken and not file.parsed.templates
    return not file.unreadable and (empty or not file.parsed.complete)


def may_hide_a_destination(file: ParsedFile) -> bool:
    """Return whether a Destination may exist that cannot be seen in this file. Planning then uses
    its last good version."""
    return not file.complete or any(one.kind == "Destination" for one in file.broken)


def _errors(diagnostics: Iterable[Diagnostic]) -> dict[str, list[Diagnostic]]:
    """Return the errors by file, in the order of their lines."""
    errors: dict[str, list[Diagnostic]] = {}
    for found in diagnostics:
        if found.is_error:
            errors.setdefault(found.file, []).append(found)
    return errors


def _broken(one: BrokenDocument | Loaded, errors: Mapping[str, list[Diagnostic]]) -> BrokenManifest:
    return BrokenManifest(
        one.kind, one.name, one.file, one.line, _first(errors.get(one.file, ()), one.line)
    )


def _first(errors: Iterable[Diagnostic], line: int) -> str:
    """Return the first error at or after this line, as a text."""
    found = next((error for error in errors if error.line >= line), None)
    return (
        f"{found.file}:{found.line}:{found.column}: {found.message}"
        if found
        else "the manifest is invalid"
    )
