"""Rules across all files, such as duplicate names and missing destinations."""

from __future__ import annotations

import os.path
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from reconciler.manifests.checks.duplicate_accounts import AccountReaders
from reconciler.manifests.diagnostics import Diagnostic, Severity, did_you_mean, in_order, quoted
from reconciler.manifests.manifest_summary import ManifestSummary

Identity = tuple[str, str]
"""Kind and name."""


class HasSummaries(Protocol):
    """A file with the summaries of its manifests: `loading.ParsedFile` or
    `parallel_check.CheckedFile`."""

    def named(self) -> Iterable[ManifestSummary]:
        """Return the summaries of all manifests with a known name."""


class CrossFileResult(Struct, frozen=True):
    """The result of the rules across files.

    `refused` are the manifests that cannot be used as declared, each with its first error.
    """

    diagnostics: tuple[Diagnostic, ...]
    refused: Mapping[Identity, str]


def check_across_files(
    parsed: Iterable[HasSummaries],
    *,
    destinations: Iterable[str] = (),
    whole: bool = True,
    only_errors: bool = False,
) -> CrossFileResult:
    """Check the rules across files.

    `destinations` are further existing names, such as those of last good manifests of unreadable
    files. `whole` means that there are no other files, so that a name that is missing here does not
    exist. `only_errors` leaves out the rules that find no errors, which take longest.
    """
    named = [one for file in parsed for one in file.named()]
    names = {*destinations, *(one.name for one in named if one.kind == "Destination")}
    found = [
        *_duplicates(named),
        *_defaults(named),
        *_destinations(named, names, Severity.ERROR if whole else Severity.WARNING),
        *(() if only_errors else _advice(named, whole=whole)),
    ]
    refused: dict[Identity, str] = {}
    for identity, diagnostic in found:
        if diagnostic.is_error:
            refused.setdefault(identity, diagnostic.message)
    return CrossFileResult(tuple(in_order(diagnostic for _, diagnostic in found)), refused)


def _advice(named: Sequence[ManifestSummary], *, whole: bool) -> _Found:
    yield from _shared(named)
    yield from _refresh_tokens(named)
    if whole:
        yield from _unused_default(named)
        yield from _unused_templates(named)


_Found = Iterator[tuple[Identity, Diagnostic]]


def _diagnostic_at(
    manifest: ManifestSummary,
    path: str,
    rule: str,
    message: str,
    severity: Severity = Severity.ERROR,
) -> tuple[Identity, Diagnostic]:
    mark = manifest.marks[path]
    return (manifest.kind, manifest.name), Diagnostic(
        manifest.file, mark.line, mark.column, path, rule, severity, message
    )


def _duplicates(manifests: Iterable[ManifestSummary]) -> _Found:
    namesakes: dict[Identity, list[ManifestSummary]] = defaultdict(list)
    for manifest in manifests:
        namesakes[manifest.kind, manifest.name].append(manifest)
    for (kind, name), group in namesakes.items():
        for manifest in group if len(group) > 1 else ():
            yield _diagnostic_at(
                manifest,
                "metadata.name",
                "duplicate-name",
                f"the {kind} {quoted(name)} stands in {_other(group, manifest)} too: rename one of "
                "them",
            )


def _defaults(manifests: Iterable[ManifestSummary]) -> _Found:
    marked = [
        manifest for manifest in manifests if manifest.kind == "Destination" and manifest.default
    ]
    for manifest in marked if len(marked) > 1 else ():
        yield _diagnostic_at(
            manifest,
            "spec.default",
            "several-defaults",
            f"the Destination in {_other(marked, manifest)} is marked as default too: keep one",
        )


def _destinations(
    manifests: Iterable[ManifestSummary], names: set[str], severity: Severity
) -> _Found:
    has_default = any(one.kind == "Destination" and one.default for one in manifests)
    known = sorted(names)
    for one in manifests:
        if one.kind != "MailCollector":
            continue
        if one.destination is None and names and not has_default:
            yield _diagnostic_at(
                one,
                "spec",
                "no-destination",
                "no Destination is marked as default: add `destination` here, or `default: true` "
                "there",
                severity,
            )
        if one.destination and one.destination not in names:
            hint = (
                did_you_mean(one.destination, known)
                if known
                else "declare it, or remove `destination`"
            )
            yield _diagnostic_at(
                one,
                "spec.destination",
                "unknown-destination",
                f"there is no Destination {quoted(one.destination)}: {hint}",
                severity,
            )


def _shared(manifests: Iterable[ManifestSummary]) -> _Found:
    """Yield a diagnostic for each collector that reads a folder which another one reads; it
    names the first other one."""
    accounts: dict[str, list[ManifestSummary]] = defaultdict(list)
    for one in manifests:
        if one.mailbox is not None:
            accounts[one.mailbox.account].append(one)
    for group in accounts.values():
        if len(group) > 1:
            readers = AccountReaders((one.name, one.mailbox) for one in group if one.mailbox)
            for one in group:
                yield from _shares(one, group, readers)


def _shares(
    one: ManifestSummary, group: Sequence[ManifestSummary], readers: AccountReaders
) -> _Found:
    number = readers.other(one.name, one.mailbox) if one.mailbox else None
    found = None if number is None else group[number]
    if found is None or one.mailbox is None:
        return
    other = f"the collector {quoted(found.name)} ({found.place})"
    if one.mailbox.takes_away:
        yield _diagnostic_at(
            one,
            "spec.collect.mode",
            "all-delete-shared",
            f"this takes away mail that {other} reads too: use new-keep or new-delete, or let one "
            "of the two collect",
            Severity.WARNING,
        )
    else:
        yield _diagnostic_at(
            one,
            "spec.source",
            "shared-account",
            f"{other} reads the same mailbox: every message is collected twice; disable or remove "
            "one of the two, or give them other folders",
            Severity.WARNING,
        )


def _refresh_tokens(manifests: Iterable[ManifestSummary]) -> _Found:
    """Yield diagnostics about a refresh token that several collectors use, or that the next push
    would replace."""
    users: dict[str, list[ManifestSummary]] = defaultdict(list)
    for one in manifests:
        if one.refresh_token is not None:
            users[one.refresh_token].append(one)
    for path, group in users.items():
        replaced = _in_linked_worktree(path)
        for one in group:
            if len(group) > 1:
                other = next(other for other in group if other is not one)
                yield _diagnostic_at(
                    one,
                    "spec.source",
                    "shared-refresh-token",
                    f"the collector {quoted(other.name)} ({other.place}) logs in by the same "
                    "refresh token: they take turns in using it, and one consent that ends stalls "
                    "them all",
                    Severity.INFO,
                )
            if replaced:
                yield _diagnostic_at(
                    one,
                    "spec.source",
                    "refresh-token-in-git",
                    f"{quoted(path)} stands in a work tree of git that the next push replaces, and "
                    "a refresh token that the server renewed with it: name a file outside of the "
                    "repository",
                    Severity.WARNING,
                )


def _in_linked_worktree(path: str) -> bool:
    """Return whether a link leads into a linked work tree, whose `.git` is a file, as git-sync
    makes them. A push replaces such a tree."""
    given = os.path.dirname(path)  # noqa: PTH120  # paths are text here
    directory = os.path.realpath(given)
    if directory == given:
        return False
    while True:
        try:
            return stat.S_ISREG(os.lstat(os.path.join(directory, ".git")).st_mode)  # noqa: PTH118
        except OSError:
            parent = os.path.dirname(directory)  # noqa: PTH120
            if parent == directory:
                return False
            directory = parent


def _unused_default(manifests: Sequence[ManifestSummary]) -> _Found:
    """Find a default Destination that no collector uses."""
    collectors = [one for one in manifests if one.kind == "MailCollector"]
    if not collectors or any(one.destination is None for one in collectors):
        return
    for one in manifests:
        if (
            one.kind == "Destination"
            and one.default
            and all(name.destination != one.name for name in collectors)
        ):
            yield _diagnostic_at(
                one,
                "spec.default",
                "unreachable-default",
                "every collector names another Destination, so that this default is never used: "
                "remove `default`, or the Destination",
                Severity.WARNING,
            )


def _unused_templates(manifests: Sequence[ManifestSummary]) -> _Found:
    used = {one.template for one in manifests}
    for one in manifests:
        if one.kind == "Template" and one.name not in used:
            yield _diagnostic_at(
                one,
                "metadata.name",
                "unused-template",
                "no MailCollector names this Template in `from`: remove it, or use it",
                Severity.WARNING,
            )


def _other(group: Iterable[ManifestSummary], manifest: ManifestSummary) -> str:
    other = next(one for one in group if one is not manifest)
    return other.place
