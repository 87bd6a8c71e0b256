"""A file's bytes to manifests: YAML, then the schema, then the model, then the rules of `manifests.rules`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from reconciler.manifests import document, files, mailboxes, rules, schema, wording
from reconciler.manifests.diagnostics import START, Diagnostic, Finding, Position, Severity, dotted, in_order
from reconciler.manifests.fields import Fields
from reconciler.manifests.nodes import Document, Unusable
from reconciler.manifests.spec import Destination, MailCollector, Manifest

if TYPE_CHECKING:
    import jsonschema

Kind = Literal["MailCollector", "Destination"]

_KINDS: Mapping[str, Kind] = {"MailCollector": "MailCollector", "Destination": "Destination"}
_MODELS: Mapping[str, type[MailCollector | Destination]] = {"MailCollector": MailCollector, "Destination": Destination}
_DOUBTFUL = frozenset({"tag", "ambiguous-number", "unknown-alias"})
"""Rules of the YAML that leave a value nobody should judge any further."""
_MOST_ERRORS = 1_000
"""Of one document: nobody reads more, and a file must not hold up the others."""
_MARKED = (("metadata", "name"), ("spec",), ("spec", "destination"), ("spec", "default"), ("spec", "source"),
           ("spec", "collect", "mode"))
"""What rules over the whole directory point at."""
_KEYS_MARKED = (("spec",), ("spec", "source"))


@dataclass(frozen=True, slots=True)
class Named:
    """What the rules over all files need to know of a manifest, valid or not."""

    kind: Kind
    name: str
    file: str
    line: int
    destination: str | None = None
    """The Destination it names; "" where it names one that cannot be read."""
    default: bool = False
    mailbox: mailboxes.Mailbox | None = None
    """What a collector that is enabled reads."""
    marks: Mapping[str, Position] = field(default_factory=dict, repr=False)
    """Places of what `_MARKED` lists."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid manifest. Relative paths in it start at `base`, the directory of its file."""

    manifest: Manifest
    base: str
    named: Named

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


@dataclass(frozen=True, slots=True)
class Broken:
    """A manifest with errors that says at least what it is called. `message` is its first error."""

    named: Named
    message: str

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


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one file holds. `complete`: every manifest in it is among `manifests` or `broken`; otherwise there are, or
    may be, others whose names could not be read (an empty file may be one that is just being written), so none that
    was here before may be taken for removed."""

    file: str
    manifests: tuple[Loaded, ...] = ()
    broken: tuple[Broken, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    complete: bool = True

    def named(self) -> Iterator[Named]:
        """Every manifest whose name is known, valid or not."""
        for valid in self.manifests:
            yield valid.named
        for broken in self.broken:
            yield broken.named


@functools.cache
def _validator() -> tuple[jsonschema.Draft7Validator, Mapping[str, Any]]:
    import jsonschema  # noqa: PLC0415  # an empty directory does without

    inlined = schema.inlined()
    return jsonschema.Draft7Validator(inlined), inlined


def parse(data: bytes, file: str, *, allow_inline_secrets: bool = False) -> ParsedFile:
    """The manifests and diagnostics of one file. Never raises, whatever the bytes."""
    documents, unusable = document.read(data)
    parsed = [_Parsed.of(found, file, allow_inline_secrets) for found in documents]
    diagnostics = [diagnostic for one in parsed for diagnostic in one.diagnostics]
    if unusable:
        diagnostics.append(_unusable(unusable, file))
    elif not documents:
        diagnostics.append(Diagnostic(file, START.line, START.column, "", "empty-file", Severity.ERROR,
                                      "no manifest in this file: write one, or remove the file"))
    first = diagnostics[-1].message if unusable else ""
    return ParsedFile(
        file=file,
        manifests=() if unusable else tuple(one.loaded for one in parsed if one.loaded),
        broken=tuple(Broken(one.named, first or one.message) for one in parsed
                     if one.named and (unusable or not one.loaded)),
        diagnostics=tuple(diagnostics),
        complete=not unusable and bool(parsed) and all(one.named for one in parsed),
    )


def load(path: Path, *, allow_inline_secrets: bool = False) -> ParsedFile:
    """Read and parse a file. One that cannot be read has a diagnostic and is not `complete`."""
    try:
        data = files.read(path)
    except files.Unreadable as error:
        return unreadable(path, error)
    return parse(data, str(path), allow_inline_secrets=allow_inline_secrets)


def unreadable(path: Path, error: files.Unreadable) -> ParsedFile:
    """What is known of a file that could not be read."""
    diagnostic = _unusable(Unusable(START, error.rule, str(error)), str(path))
    return ParsedFile(file=str(path), diagnostics=(diagnostic,), complete=False)


def _unusable(error: Unusable, file: str) -> Diagnostic:
    return Diagnostic(file, error.position.line, error.position.column, "", error.rule, Severity.ERROR, error.message)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """One document. `message` is its first error."""

    diagnostics: tuple[Diagnostic, ...]
    named: Named | None
    loaded: Loaded | None
    message: str

    @classmethod
    def of(cls, found: Document, file: str, allow_inline_secrets: bool) -> _Parsed:
        manifest, refused = _against_model(found)
        against_schema = [] if manifest else _against_schema(found) or ([] if found.findings else refused)
        fields = Fields(found, {finding.path for finding in (*against_schema, *_doubtful(found))})
        findings = [*against_schema, *rules.check(fields, allow_inline_secrets=allow_inline_secrets)]
        if found.findings or any(finding.severity is Severity.ERROR for finding in findings):
            manifest = None
        diagnostics = [_diagnostic(finding, position, file) for position, finding in found.findings]
        diagnostics += [_diagnostic(finding, found.place(finding.path, key=finding.key), file) for finding in findings]
        named = _named(found, fields, file)
        loaded = Loaded(manifest, str(Path(file).parent), named) if manifest and named else None
        message = next((found.message for found in in_order(diagnostics) if found.is_error), "")
        return cls(tuple(diagnostics), named, loaded, message)


def _diagnostic(finding: Finding, position: Position, file: str) -> Diagnostic:
    return Diagnostic(file, position.line, position.column, dotted(finding.path), finding.rule, finding.severity,
                      finding.message)


def _doubtful(found: Document) -> list[Finding]:
    return [finding for _, finding in found.findings if finding.rule in _DOUBTFUL]


def _against_schema(found: Document) -> list[Finding]:
    validator, inlined = _validator()
    doubtful = {finding.path for finding in _doubtful(found)}
    judged = [finding for error in itertools.islice(validator.iter_errors(found.root.value), _MOST_ERRORS)
              for finding in wording.findings(error, found, inlined)]
    return [finding for finding in wording.consequences(list(dict.fromkeys(judged)))
            if not any(finding.path[:len(path)] == path for path in doubtful)]


def _against_model(found: Document) -> tuple[Manifest | None, list[Finding]]:
    """The model judges a manifest many times faster than the schema and accepts the same ones (a test holds them
    together), so the schema is only asked what is wrong."""
    value = found.root.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _MODELS:
        return None, []
    try:
        return _MODELS[kind].model_validate(value), []
    except ValidationError as refused:
        return None, [Finding(tuple(error["loc"]), "model", f"{error['msg']} (the schema accepts it: report this)")
                      for error in refused.errors(include_input=False, include_url=False)]


def _named(found: Document, fields: Fields, file: str) -> Named | None:
    kind, name = _KINDS.get(fields.text("kind") or ""), fields.text("metadata", "name")
    if kind is None or not name:
        return None
    destination = fields.text("spec", "destination") or ("" if fields.has("spec", "destination") else None)
    marks = {dotted(path): found.place(path, key=path in _KEYS_MARKED) for path in _MARKED}
    mailbox = mailboxes.of(fields) if kind == "MailCollector" else None
    return Named(kind, name, file, found.root.position.line, destination, fields.is_set("spec", "default"), mailbox,
                 marks)
