"""What only all files together can tell: names that are taken, destinations that are missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.manifests.diagnostics import Diagnostic, Severity, did_you_mean, in_order, quoted
from reconciler.manifests.loading import Named, ParsedFile

Identity = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class Together:
    """`refused`: the manifests that cannot be run as declared, each with the first reason."""

    diagnostics: tuple[Diagnostic, ...]
    refused: Mapping[Identity, str]


def check_together(parsed: Iterable[ParsedFile], *, destinations: Iterable[str] = (),
                   whole: bool = True) -> Together:
    """The rules over all files. `destinations`: names that exist besides (the last good version of a file that cannot
    be read now). `whole`: these are all the files there are, so a name that is not here is nowhere."""
    named = [one for file in parsed for one in file.named()]
    names = {*destinations, *(one.name for one in named if one.kind == "Destination")}
    found = [*_duplicates(named), *_defaults(named),
             *_destinations(named, names, Severity.ERROR if whole else Severity.WARNING)]
    refused: dict[Identity, str] = {}
    for identity, diagnostic in found:
        if diagnostic.is_error:
            refused.setdefault(identity, diagnostic.message)
    return Together(tuple(in_order(diagnostic for _, diagnostic in found)), refused)


_Found = Iterator[tuple[Identity, Diagnostic]]


def _about(manifest: Named, path: str, rule: str, message: str,
           severity: Severity = Severity.ERROR) -> tuple[Identity, Diagnostic]:
    mark = manifest.marks[path]
    return (manifest.kind, manifest.name), Diagnostic(manifest.file, mark.line, mark.column, path, rule, severity,
                                                      message)


def _duplicates(manifests: Iterable[Named]) -> _Found:
    namesakes: dict[Identity, list[Named]] = defaultdict(list)
    for manifest in manifests:
        namesakes[manifest.kind, manifest.name].append(manifest)
    for (kind, name), group in namesakes.items():
        for manifest in group if len(group) > 1 else ():
            yield _about(manifest, "metadata.name", "duplicate-name", f"the {kind} {quoted(name)} stands in "
                         f"{_other(group, manifest)} too: rename one of them")


def _defaults(manifests: Iterable[Named]) -> _Found:
    marked = [manifest for manifest in manifests if manifest.kind == "Destination" and manifest.default]
    for manifest in marked if len(marked) > 1 else ():
        yield _about(manifest, "spec.default", "several-defaults", f"the Destination in {_other(marked, manifest)} is "
                     "marked as default too: keep one")


def _destinations(manifests: Iterable[Named], names: set[str], severity: Severity) -> _Found:
    has_default = any(one.kind == "Destination" and one.default for one in manifests)
    for one in manifests:
        if one.kind != "MailCollector":
            continue
        if one.destination is None and names and not has_default:
            yield _about(one, "spec", "no-destination", "no Destination is marked as default: add `destination` "
                         "here, or `default: true` there", severity)
        if one.destination and one.destination not in names:
            hint = did_you_mean(one.destination, sorted(names)) if names else "declare it, or remove `destination`"
            yield _about(one, "spec.destination", "unknown-destination", f"there is no Destination "
                         f"{quoted(one.destination)}: {hint}", severity)


def _other(group: Iterable[Named], manifest: Named) -> str:
    other = next(one for one in group if one is not manifest)
    return f"{other.file}:{other.line}"
