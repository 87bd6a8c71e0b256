"""The rules across files after a few collectors came, went or changed: without a look at thousands
of others, as long as nothing is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.manifests.checks.cross_file_checks import HasSummaries, check_across_files
from reconciler.manifests.manifest_summary import ManifestSummary, are_alike
from reconciler.manifests.summary_index import SummaryIndex


def still_finds_nothing(
    before: Iterable[HasSummaries],
    now: Iterable[HasSummaries],
    index: Callable[[], SummaryIndex],
    content: Callable[[str], HasSummaries],
) -> bool:
    """Return whether the rules across files find nothing, provided that they found nothing before
    some files changed from `before` to `now`. False: only a look at all files can tell.

    `index` returns that of all files as they are now, and `content` one of them.
    """
    old, new = _named(before), _named(now)
    if are_alike(old, new):
        return True
    if any(one.kind != "MailCollector" for one in (*old, *new)):
        return False
    known = index()
    if not all(known.uses_what(one) for one in old):
        return False
    names = known.beside((one.kind, one.name) for one in new) | known.sharing(new)
    near = check_across_files(map(content, sorted(names)), whole=False)
    return not near.diagnostics


def _named(files: Iterable[HasSummaries]) -> list[ManifestSummary]:
    return [one for file in files for one in file.named()]
