"""Parsing of a file's bytes into manifests.

The steps are YAML, the schema, the model, and the rules of `manifests.checks.field_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from reconciler.manifests import manifest_files
from reconciler.manifests import manifest_summary as named
from reconciler.manifests.checks import field_rules, model_check
from reconciler.manifests.checks.field_values import Fields
from reconciler.manifests.defect_text import place_of
from reconciler.manifests.diagnostics import (
    START,
    Diagnostic,
    Finding,
    Position,
    Severity,
    dotted,
    in_order,
)
from reconciler.manifests.directory_walk import SpecialPaths
from reconciler.manifests.manifest_summary import ManifestSummary, Summarised
from reconciler.manifests.templates.template_index import (
    Template,
    Templates,
    misplaced_placeholders,
)
from reconciler.manifests.templates.template_reading import PreparedDocument, prepare_document
from reconciler.manifests.yaml import document_reader
from reconciler.manifests.yaml.document_nodes import Document, UnusableDocument
from reconciler.model.harmless_text import escape_unprintable
from reconciler.model.manifest_policy import allowed
from reconciler.model.spec import Manifest, ManifestModel

MOST_ERRORS = 1_000
"""The number of errors in one file that are explained. For the manifests after them, a single
diagnostic says whether they are valid."""


class Loaded(Summarised, Struct, frozen=True):
    """A valid manifest. Relative paths in it start at `base`, the directory of its file."""

    manifest: Manifest
    base: str
    named: ManifestSummary


class Broken(Summarised, Struct, frozen=True):
    """An invalid manifest with a readable kind and name. `message` is its first error."""

    named: ManifestSummary
    message: str


class ParsedFile(Struct, frozen=True):
    """The manifests and diagnostics of one file.

    `complete` means that `manifests`, `broken` and `templates` together have every manifest of the
    file. Otherwise the file may contain others with unreadable names. An empty file may be in the
    middle of a write. No manifest of an incomplete file counts as removed.
    """

    file: str
    manifests: tuple[Loaded, ...] = ()
    broken: tuple[Broken, ...] = ()
    templates: tuple[Template, ...] = ()
    """All templates, valid or not."""
    diagnostics: tuple[Diagnostic, ...] = ()
    complete: bool = True
    uses: frozenset[str] = frozenset()
    """The names of the templates that its collectors use, whether they exist or not."""

    def named(self) -> Iterator[ManifestSummary]:
        """Yield the summary of every manifest with a known name, valid or not."""
        for valid in self.manifests:
            yield valid.named
        for broken in self.broken:
            yield broken.named
        for template in self.templates:
            yield template.named


def parse(
    data: bytes,
    file: str,
    templates: Templates | None = None,
    *,
    allow_inline_secrets: bool = False,
) -> ParsedFile:
    """Return the manifests and diagnostics of one file. Never raises, whatever the bytes.

    `templates` are those of all files. Without them, the file's own templates are used.
    """
    try:
        if templates is not None:
            return _parse(data, file, templates, allow_inline_secrets)
        found = _parse(data, file, Templates(), allow_inline_secrets)
        return (
            _parse(data, file, Templates(found.templates), allow_inline_secrets)
            if found.uses
            else found
        )
    except Exception as defect:  # noqa: BLE001
        # An internal error must not affect other files.
        return result_of_defect(file, defect)


def _parse(data: bytes, file: str, templates: Templates, allow_inline_secrets: bool) -> ParsedFile:
    documents, unusable = document_reader.read(data)
    parsed: list[_Parsed] = []
    diagnostics: list[Diagnostic] = []
    for found in documents:
        parsed.append(
            _Parsed.of(
                found, file, templates, allow_inline_secrets, explain=len(diagnostics) < MOST_ERRORS
            )
        )
        diagnostics += parsed[-1].diagnostics
    if unusable:
        diagnostics.append(_unusable(unusable, file))
    elif not documents:
        diagnostics.append(
            Diagnostic(
                file,
                START.line,
                START.column,
                "",
                "empty-file",
                Severity.ERROR,
                "no manifest in this file: write one, or remove the file",
            )
        )
    return ParsedFile(
        file=file,
        manifests=() if unusable else tuple(one.loaded for one in parsed if one.loaded),
        broken=tuple(
            Broken(one.named, diagnostics[-1].message if unusable else one.message)
            for one in parsed
            if one.named and not one.template and (unusable or not one.loaded)
        ),
        templates=tuple(
            replace(one.template, error=_in_one_line(diagnostics[-1])) if unusable else one.template
            for one in parsed
            if one.template
        ),
        diagnostics=tuple(diagnostics),
        complete=not unusable and bool(parsed) and all(one.named for one in parsed),
        uses=frozenset(one.uses for one in parsed if one.uses is not None),
    )


def load(
    path: Path,
    templates: Templates | None = None,
    *,
    allow_inline_secrets: bool = False,
    special_paths: SpecialPaths | None = None,
) -> ParsedFile:
    """Read and parse a file. An unreadable file has a diagnostic and is not `complete`.

    `special_paths` are those of the walk that found the file.
    """
    special_paths = special_paths or SpecialPaths.beside(path)
    try:
        special_paths.require_allowed(path)
        data = manifest_files.read(path)
    except manifest_files.Unreadable as error:
        return unreadable(path, error)
    parsed = parse(data, str(path), templates, allow_inline_secrets=allow_inline_secrets)
    return without_quotations(parsed) if special_paths.leads_outside(path) else parsed


def unreadable(path: Path, error: manifest_files.Unreadable) -> ParsedFile:
    """Return the result for a file that could not be read."""
    return _nothing(manifest_files.displayed(path), error.rule, str(error))


def result_of_defect(file: str, defect: Exception) -> ParsedFile:
    """Return the result for a file whose parsing raised an internal error."""
    return _nothing(
        file,
        "internal",
        f"mailcollector fails to read this file, which is a defect of its own "
        f"({place_of(defect)}): please report it; what was good here before runs on",
    )


def without_quotations(parsed: ParsedFile) -> ParsedFile:
    """Return the result for a file that a link outside of the directory leads to.

    The author of the link may lack the permission to read the file. So a file without a manifest
    gets one diagnostic that does not quote its content.
    """
    if any(parsed.named()) or not parsed.diagnostics:
        return parsed
    return _nothing(
        parsed.file,
        "link-leads-out",
        "this link leads out of the directory of manifests, to a file that "
        "holds no manifest: remove it, or let it lead to one",
    )


def _nothing(file: str, rule: str, message: str) -> ParsedFile:
    """Return the result for a file with one diagnostic and no known manifests."""
    return ParsedFile(
        file=file,
        diagnostics=(_unusable(UnusableDocument(START, rule, message), file),),
        complete=False,
    )


def _unusable(error: UnusableDocument, file: str) -> Diagnostic:
    return Diagnostic(
        file,
        error.position.line,
        error.position.column,
        "",
        error.rule,
        Severity.ERROR,
        error.message,
    )


class _Parsed(Struct, frozen=True):
    """The result for one document. `message` is its first error."""

    diagnostics: tuple[Diagnostic, ...]
    named: ManifestSummary | None
    loaded: Loaded | None
    template: Template | None
    message: str
    uses: str | None

    @classmethod
    def of(
        cls,
        found: Document,
        file: str,
        templates: Templates,
        allow_inline_secrets: bool,
        *,
        explain: bool,
    ) -> _Parsed:
        read = prepare_document(found, file, templates)
        manifest, refused = model_check.check_model(
            read.document, read.model, read.value, explain=explain
        )
        fields = Fields(
            read.document, {one.path for one in (*refused, *model_check.doubtful(found))}
        )
        findings = [
            *refused,
            *field_rules.check(
                fields, allow_inline_secrets=allow_inline_secrets, partial=read.partial
            ),
            *_disallowed(fields, file),
        ]
        if fields.text("kind") == "Template":
            findings += misplaced_placeholders(found.root.value.get("spec"))
        located = [*found.findings, *read.located(findings)]
        diagnostics = tuple(_diagnostic(finding, position, file) for position, finding in located)
        error = next((one for one in in_order(diagnostics) if one.is_error), None)
        called = named.of(fields, file, found.root.position.line, read.place, template=read.names)
        valid = manifest if error is None and called else None
        if called and called.kind == "Template":
            return cls(
                diagnostics,
                called,
                None,
                _template(called, found, valid, findings, error),
                "",
                None,
            )
        return cls(
            diagnostics,
            called,
            _loaded(called, valid, read),
            None,
            error.message if error else "",
            read.names,
        )


def _disallowed(fields: Fields, file: str) -> Iterator[Finding]:
    if allowed().file:
        # Defining its models is slow, and few installations have a policy.
        from reconciler.manifests import policy_file  # noqa: PLC0415

        yield from policy_file.check(fields, str(Path(file).absolute().parent))


def _loaded(
    called: ManifestSummary | None, valid: ManifestModel | None, read: PreparedDocument
) -> Loaded | None:
    if called is None or valid is None or read.partial:
        return None
    return Loaded(cast("Manifest", valid), str(Path(called.file).parent), called)


def _template(
    called: ManifestSummary,
    found: Document,
    valid: ManifestModel | None,
    findings: list[Finding],
    error: Diagnostic | None,
) -> Template:
    spec = found.root.child("spec")
    if valid is None or spec is None:
        return Template(called, error=_in_one_line(error) if error else "")
    return Template.of(called, spec, findings)


def _in_one_line(error: Diagnostic) -> str:
    return escape_unprintable(f"{error.file}:{error.line}:{error.column}: {error.message}")


def _diagnostic(finding: Finding, position: Position, file: str) -> Diagnostic:
    return Diagnostic(
        file,
        position.line,
        position.column,
        dotted(finding.path),
        finding.rule,
        finding.severity,
        finding.message,
    )
