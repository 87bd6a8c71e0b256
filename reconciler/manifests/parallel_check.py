"""What is wrong with each of many files: read by several processes, and not at all where it is
known already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.check_cache import Judgement, Judgements
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.directory_walk import Oddities
from reconciler.manifests.loading import ParsedFile, gather, load, parse
from reconciler.manifests.manifest_summary import Named
from reconciler.manifests.parallel_parsing import MANY, spread
from reconciler.manifests.templates.template_index import Templates
from reconciler.model.manifest_policy import Allowed, allowed, enforce


class Judged(Struct, frozen=True):
    """One file: how many of its manifests are valid, all whose names are known, and what is
    wrong."""

    file: str
    valid: int
    names: tuple[Named, ...]
    diagnostics: tuple[Diagnostic, ...]
    uses: frozenset[str] = frozenset()
    """The templates that its collectors name."""

    def named(self) -> tuple[Named, ...]:
        return self.names


def judge(
    paths: Sequence[Path],
    *,
    whole: bool = True,
    allow_inline_secrets: bool = False,
    kept: Path | None = None,
    oddities: Mapping[Path, Oddities] | None = None,
    given: Mapping[Path, bytes] | None = None,
) -> list[Judged]:
    """Every file, in this order. `whole`: a template that is in none of them is nowhere. `kept`: a
    file to remember judgements in, for the next time that there are many. `oddities`: of the walk
    that found a path; for one that was named by itself, none. `given`: the content of what can be
    read only once."""
    found_by = {path: (oddities or {}).get(path) or Oddities.beside(path) for path in paths}
    if len(paths) < MANY or given:
        alone = [
            (one, _load(one, Templates(), allow_inline_secrets))
            for one in (_Asked(path, found_by[path], (given or {}).get(path)) for path in paths)
        ]
        templates = gather((file for _, file in alone), whole=whole)
        return [
            _judged(_load(one, templates, allow_inline_secrets) if file.uses else file)
            for one, file in alone
        ]
    judgements = Judgements(kept, f"inline secrets: {allow_inline_secrets}, policy: {allowed()}")
    known = {path: None if found_by[path].is_odd(path) else judgements.find(path) for path in paths}
    asked = [_Asked(path, found_by[path]) for path in paths]
    templates = gather(
        (
            _load(one, Templates(), allow_inline_secrets)
            for one in asked
            if judgements.may_hold_template(one.path)
        ),
        whole=whole,
    )
    unknown = [one for one in asked if not _holds(known[one.path], templates)]
    judged = spread(_judge_elsewhere, unknown, (templates, allow_inline_secrets, allowed()))
    found = {one.path: judgement for one, judgement in zip(unknown, judged, strict=True)}
    for path, one in found.items():
        judgements.add(
            path, Judgement(one.valid, one.names, one.diagnostics, templates.stamps(one.uses))
        )
    judgements.save()
    return [found.get(path) or _known(path, known[path]) for path in paths]


class _Asked(Struct, frozen=True):
    """A file to be judged."""

    path: Path
    oddities: Oddities
    given: bytes | None = None


def _load(asked: _Asked, templates: Templates, allow_inline_secrets: bool) -> ParsedFile:
    if asked.given is not None:
        return parse(
            asked.given, str(asked.path), templates, allow_inline_secrets=allow_inline_secrets
        )
    return load(
        asked.path, templates, allow_inline_secrets=allow_inline_secrets, oddities=asked.oddities
    )


def _holds(known: Judgement | None, templates: Templates) -> bool:
    """Whether what was found the last time is true of these templates."""
    return known is not None and known.stamps == templates.stamps(known.stamps)


def _known(path: Path, known: Judgement | None) -> Judged:
    assert known is not None  # noqa: S101  # else it was judged anew
    return Judged(str(path), known.valid, known.names, known.diagnostics, frozenset(known.stamps))


def _judged(parsed: ParsedFile) -> Judged:
    valid = len(parsed.manifests) + sum(not template.error for template in parsed.templates)
    return Judged(parsed.file, valid, tuple(parsed.named()), parsed.diagnostics, parsed.uses)


def _judge_elsewhere(
    asked: Sequence[_Asked], common: tuple[Templates, bool, Allowed]
) -> list[Judged]:
    """In another process, perhaps: that does not know the policy."""
    enforce(common[2])
    return _judge_some(asked, common[:2])


def _judge_some(asked: Sequence[_Asked], common: tuple[Templates, bool]) -> list[Judged]:
    return [_judged(_load(one, *common)) for one in asked]
