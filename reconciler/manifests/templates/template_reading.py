"""Preparation of a document for its checks: the model, and the merge with its template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path as File
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.manifests.diagnostics import Finding, Path, Position, Severity, quoted
from reconciler.manifests.effective_manifest import digest_of
from reconciler.manifests.templates import template_merge
from reconciler.manifests.templates.partial_models import model_of
from reconciler.manifests.templates.secret_redirection import redirected_fields
from reconciler.manifests.templates.template_index import Template, Templates
from reconciler.manifests.yaml.document_nodes import Document
from reconciler.model.spec import ManifestModel, MergedCollector

_FROM: Path = ("spec", "from")


class PreparedDocument(Struct, frozen=True):
    """A document as it is checked.

    `document` is checked and may be merged with a template; `own` is the document of the file.
    `value` is the input of `model`. `partial` means that required fields may be missing, because
    another manifest may provide them. `found` are findings that are already certain.
    """

    document: Document
    own: Document
    model: type[ManifestModel] | None
    value: Any
    partial: bool = False
    names: str | None = None
    """The name of the manifest's template."""
    template: Template | None = None
    """The template that `document` is merged with."""
    found: tuple[Finding, ...] = ()

    def place(self, path: Path, key: bool = False) -> Position:  # as `Document.place`
        """Return the position of a value in the manifest's own file. For a value of the template it
        is the position of the field that names the template."""
        position = self.document.place(path, key=key)
        return self.own.place(_FROM) if position.file else position

    def located(self, findings: Iterable[Finding]) -> Iterator[tuple[Position, Finding]]:
        """Yield each finding with its position. Findings about the template itself are left out."""
        for finding in (*self.found, *findings):
            worded = self._for_collector(finding) if self.template else finding
            if worded is not None:
                anchor = self.document.anchor(finding.path, key=finding.key)
                at = (
                    f" (the value of the anchor {quoted('&' + anchor.name)} in line {anchor.line})"
                    if anchor
                    else ""
                )
                yield (
                    self.place(finding.path, finding.key),
                    replace(worded, message=worded.message + at) if at else worded,
                )

    def _for_collector(self, finding: Finding) -> Finding | None:
        """Return a finding in words for the collector, or None if it is about the template."""
        name = quoted(self.names or "")
        if finding.lacks:
            return replace(finding, message=f"{finding.message}, here or in the template {name}")
        file = self.document.place(finding.path, key=finding.key).file
        if file is None:
            return finding
        if self.template is None or finding in self.template.lints:
            return None
        return replace(
            finding, message=f"{finding.message} (it comes from the template {name} in {file})"
        )


def prepare_document(found: Document, file: str, templates: Templates) -> PreparedDocument:
    """Return how to check a document of `file`."""
    value = found.root.value
    model = model_of(value)
    plain = PreparedDocument(found, found, model, value)
    spec = found.root.child("spec")
    if model is None or spec is None or not isinstance(spec.value, dict):
        return plain
    if value["kind"] == "Template":
        return _of_template(plain)
    name = spec.value.get("from") if value["kind"] == "MailCollector" else None
    return _derived(plain, name, file, templates) if isinstance(name, str) else plain


def _of_template(plain: PreparedDocument) -> PreparedDocument:
    """Return the reading of a template, as if for a collector of the same name."""
    spec, name = plain.own.root.child("spec"), _name(plain.own)
    assert spec is not None  # noqa: S101  # checked by the caller
    root = template_merge.with_child(plain.own.root, "spec", template_merge.with_name(spec, name))
    return replace(
        plain, document=Document(root, plain.own.findings), value=root.value, partial=True
    )


def _derived(
    plain: PreparedDocument, name: str, file: str, templates: Templates
) -> PreparedDocument:
    template = templates.find(name)
    fields = template.fields(str(File(file).parent), _name(plain.own)) if template else None
    if template is None or fields is None:
        return replace(
            plain, partial=True, names=name, found=(_unusable(name, template, templates),)
        )
    root = plain.own.root
    spec = root.child("spec")
    assert spec is not None  # noqa: S101  # checked by the caller
    own = template_merge.without(spec, "from")
    both = template_merge.merge(fields, own)
    whole = template_merge.with_child(root, "spec", both)
    value = {
        **whole.value,
        "spec": {**whole.value["spec"], "from": name},
        "ownDigest": digest_of(own.value),
        "templateDigest": template.digest,
    }
    return PreparedDocument(
        Document(whole, plain.own.findings),
        plain.own,
        MergedCollector,
        value,
        names=name,
        template=template,
        found=tuple(redirected_fields(fields, own, both, template.overridable, name)),
    )


def _unusable(name: str, template: Template | None, templates: Templates) -> Finding:
    if template is None:
        return Finding(
            _FROM,
            "unknown-template",
            templates.missing(name),
            Severity.ERROR if templates.whole else Severity.WARNING,
        )
    return Finding(
        _FROM, "invalid-template", f"the Template {quoted(name)} is invalid: {template.error}"
    )


def _name(found: Document) -> str:
    """Return the manifest's name, or "" if it is unreadable. That is reported elsewhere."""
    node = found.at(("metadata", "name"))
    return node.value if node and isinstance(node.value, str) else ""
