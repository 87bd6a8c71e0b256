"""What is wrong with each of many files: read by several processes, and not at all where it is known already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.judgements import Judgement, Judgements
from reconciler.manifests.loading import ParsedFile, gather, load, load_together
from reconciler.manifests.named import Named
from reconciler.manifests.spreading import MANY, spread
from reconciler.manifests.templates import Templates


class Judged(Struct, frozen=True):
    """One file: how many of its manifests are valid, all whose names are known, and what is wrong."""

    file: str
    valid: int
    names: tuple[Named, ...]
    diagnostics: tuple[Diagnostic, ...]
    uses: frozenset[str] = frozenset()
    """The templates that its collectors name."""

    def named(self) -> tuple[Named, ...]:
        return self.names


def judge(paths: Sequence[Path], *, whole: bool = True, allow_inline_secrets: bool = False,
          kept: Path | None = None) -> list[Judged]:
    """Every file, in this order. `whole`: a template that is in none of them is nowhere. `kept`: a file to remember
    judgements in, for the next time that there are many."""
    if len(paths) < MANY:
        return [_judged(file) for file in load_together(paths, whole=whole, allow_inline_secrets=allow_inline_secrets)]
    judgements = Judgements(kept, f"inline secrets: {allow_inline_secrets}")
    known = {path: judgements.find(path) for path in paths}
    templates = gather((load(path, Templates(), allow_inline_secrets=allow_inline_secrets) for path in paths
                        if judgements.may_hold_template(path)), whole=whole)
    unknown = [path for path in paths if not _holds(known[path], templates)]
    found = dict(zip(unknown, spread(_judge_some, unknown, (templates, allow_inline_secrets)), strict=True))
    for path, judged in found.items():
        judgements.add(path, Judgement(judged.valid, judged.names, judged.diagnostics, templates.stamps(judged.uses)))
    judgements.save()
    return [found.get(path) or _known(path, known[path]) for path in paths]


def _holds(known: Judgement | None, templates: Templates) -> bool:
    """Whether what was found the last time is true of these templates."""
    return known is not None and known.stamps == templates.stamps(known.stamps)


def _known(path: Path, known: Judgement | None) -> Judged:
    assert known is not None  # noqa: S101  # else it was judged anew
    return Judged(str(path), known.valid, known.names, known.diagnostics, frozenset(known.stamps))


def _judged(parsed: ParsedFile) -> Judged:
    valid = len(parsed.manifests) + sum(not template.error for template in parsed.templates)
    return Judged(parsed.file, valid, tuple(parsed.named()), parsed.diagnostics, parsed.uses)


def _judge_some(paths: Sequence[Path], common: tuple[Templates, bool]) -> list[Judged]:
    templates, allow_inline_secrets = common
    return [_judged(load(path, templates, allow_inline_secrets=allow_inline_secrets)) for path in paths]
