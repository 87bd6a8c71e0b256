"""Templates: the common fields of many collectors, and their lookup by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as File

from msgspec import Struct
from msgspec.structs import replace

from reconciler.manifests.diagnostics import Finding, Path, did_you_mean, quoted
from reconciler.manifests.effective_manifest import digest_of
from reconciler.manifests.manifest_summary import ManifestSummary, Summarised
from reconciler.manifests.templates import template_merge
from reconciler.manifests.yaml.document_nodes import Node
from reconciler.model.harmless_text import escape_unprintable

OVERRIDABLE = "overridable"
"""The only key of a template's spec that collectors do not have."""
_BRACED = re.compile(r"\{[A-Za-z]+\}")


class Template(Summarised, Struct, frozen=True):
    """A template. If it is invalid, `spec` is None and `error` has the first error with its place.

    `lints` are the findings about the template itself. They are not repeated for its collectors.
    """

    named: ManifestSummary
    spec: Node | None = None
    elsewhere: Node | None = None
    """`spec` with absolute paths, for collectors in other directories."""
    personal: bool = False
    """Whether a text in it contains {name}."""
    overridable: tuple[str, ...] = ()
    """Fields that its collectors may change although they decide where its secret goes."""
    digest: str = ""
    lints: frozenset[Finding] = frozenset()
    error: str = ""

    @classmethod
    def of(cls, named: ManifestSummary, spec: Node, lints: Iterable[Finding]) -> Template:
        """Return a valid template from its spec."""
        given = spec.child(OVERRIDABLE)
        node = template_merge.in_file(template_merge.without(spec, OVERRIDABLE), named.file)
        return cls(
            named,
            node,
            template_merge.with_absolute_paths(node, str(File(named.file).parent)),
            any(template_merge.NAME in text for _, text in _texts(spec.value)),
            tuple(given.value) if given else (),
            digest_of(spec.value),
            frozenset(lints),
        )

    def fields(self, directory: str, name: str) -> Node | None:
        """Return the template's fields for the collector `name` with a file in `directory`, or None
        if the template is invalid."""
        if self.error:
            return None
        node = self.spec if str(File(self.file).parent) == directory else self.elsewhere
        return template_merge.with_name(node, name) if node and self.personal else node

    def stamp(self) -> str:
        """Return a text that changes with the fields for collectors and with the diagnostics."""
        return digest_of(
            [self.file, self.digest, self.error, sorted(found.message for found in self.lints)]
        )


class Templates:
    """The templates that collectors can name.

    `whole` means that there are no others. `doubtful` is a file that cannot be read in full and may
    therefore contain another one.
    """

    def __init__(
        self, found: Iterable[Template] = (), *, whole: bool = True, doubtful: str = ""
    ) -> None:
        self._found: dict[str, Template] = {}
        self.whole = whole
        self._doubtful = doubtful
        for template in found:
            other = self._found.get(template.name)
            self._found[template.name] = _contested(template, other) if other else template
        self._stamps = {name: template.stamp() for name, template in self._found.items()}

    def find(self, name: str) -> Template | None:
        """Return the template of this name, or None."""
        return self._found.get(name)

    def missing(self, name: str) -> str:
        """Return the message about a name without a template."""
        if not self.whole:
            return (
                f"the Template {quoted(name)} is in none of these files: without it only what "
                "stands here is checked"
            )
        if self._doubtful:
            return (
                f"there is no Template {quoted(name)}, unless in "
                f"{escape_unprintable(self._doubtful)}, of which not everything can be read: fix "
                "that file"
            )
        hint = (
            did_you_mean(name, sorted(self._found))
            if self._found
            else "declare it, or remove `from`"
        )
        return f"there is no Template {quoted(name)}: {hint}"

    def stamps(self, names: Iterable[str]) -> dict[str, str]:
        """Return, by name, a text that changes with the result of using a template of this name."""
        return {name: self._stamps.get(name) or self.missing(name) for name in names}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Templates) and self._all() == other._all()

    __hash__ = None  # type: ignore[assignment]  # only compared

    def _all(self) -> tuple[Mapping[str, str], bool, str]:
        return self._stamps, self.whole, self._doubtful


def may_hold(data: bytes) -> bool:
    """Return whether a file with this content may declare a template. In YAML the word can be
    spelled differently only with backslash escapes."""
    return b"Template" in data or b"\\" in data


def misplaced_placeholders(spec: object) -> Iterator[Finding]:
    """Yield unknown words in braces. They are allowed in a program's arguments."""
    for path, text in _texts(spec):
        for word in _BRACED.findall(text) if "command" not in path else ():
            if word != template_merge.NAME:
                yield Finding(
                    ("spec", *path),
                    "placeholder",
                    f"{quoted(word)} is no placeholder of a template: use {template_merge.NAME}, "
                    "the collector's name",
                )


def _contested(one: Template, other: Template) -> Template:
    places = f"{other.named.place} and {one.named.place}"
    return replace(one, error=f"it stands in {places}")


def _texts(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _texts(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _texts(below, (*path, index))
