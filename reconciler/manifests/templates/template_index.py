"""Templates: what many collectors have in common, read once for all of them."""

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
"""The key of a template's spec that is no collector's."""
_BRACED = re.compile(r"\{[A-Za-z]+\}")


class Template(Summarised, Struct, frozen=True):
    """One of them. `spec` is None where it is invalid; `error` says where and why. `lints` are told
    of the template itself, and so not of each collector."""

    named: ManifestSummary
    spec: Node | None = None
    elsewhere: Node | None = None
    """`spec` for collectors in other directories: with absolute paths."""
    personal: bool = False
    """A text in it contains {name}."""
    overridable: tuple[str, ...] = ()
    """Fields that decide where its secret goes, and that its collectors may change all the same."""
    digest: str = ""
    lints: frozenset[Finding] = frozenset()
    error: str = ""

    @classmethod
    def of(cls, named: ManifestSummary, spec: Node, lints: Iterable[Finding]) -> Template:
        """A valid one, of its `spec` as it stands."""
        given = spec.child(OVERRIDABLE)
        node = template_merge.placed(template_merge.without(spec, OVERRIDABLE), named.file)
        return cls(
            named,
            node,
            template_merge.absolute(node, str(File(named.file).parent)),
            any(template_merge.NAME in text for _, text in _texts(spec.value)),
            tuple(given.value) if given else (),
            digest_of(spec.value),
            frozenset(lints),
        )

    def fields(self, directory: str, name: str) -> Node | None:
        """What it gives to the collector `name`, whose file is in `directory`; None where it is
        invalid."""
        if self.error:
            return None
        node = self.spec if str(File(self.file).parent) == directory else self.elsewhere
        return template_merge.named(node, name) if node and self.personal else node

    def stamp(self) -> str:
        """Changes whenever what a collector gets from it does, or what is said of that."""
        return digest_of(
            [self.file, self.digest, self.error, sorted(found.message for found in self.lints)]
        )


class Templates:
    """Those that collectors may name. `whole`: there are no others; `doubtful`: a file of which not
    everything can be read, where another one may be."""

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
        return self._found.get(name)

    def missing(self, name: str) -> str:
        """What to say of a name that none has."""
        if not self.whole:
            return (
                f"the Template {quoted(name)} is in none of these files: without it only what "
                "stands here is checked"
            )
        if self._doubtful:
            return (
                f"there is no Template {quoted(name)}, unless in "
                f"{escape_unprintable(self._doubtful)}, of which not everything can be read: mend "
                "that file"
            )
        hint = (
            did_you_mean(name, sorted(self._found))
            if self._found
            else "declare it, or remove `from`"
        )
        return f"there is no Template {quoted(name)}: {hint}"

    def stamps(self, names: Iterable[str]) -> dict[str, str]:
        """By name: changes whenever what a collector gets by this name, or what is said of it,
        does."""
        return {name: self._stamps.get(name) or self.missing(name) for name in names}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Templates) and self._all() == other._all()

    __hash__ = None  # type: ignore[assignment]  # it is compared only

    def _all(self) -> tuple[Mapping[str, str], bool, str]:
        return self._stamps, self.whole, self._doubtful


def may_hold(data: bytes) -> bool:
    """Whether a file of these bytes may declare a template. A word is written in other letters only
    with escapes."""
    return b"Template" in data or b"\\" in data


def misplaced(spec: object) -> Iterator[Finding]:
    """Words in braces that stand for nothing. In a program's arguments they may mean anything."""
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
