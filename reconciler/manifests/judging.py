"""What is wrong with each of many files: read by several processes, and not at all where it is known already."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.judgements import Judgements
from reconciler.manifests.loading import Named, load

MANY = 500
"""Files. Fewer are read at once: starting processes would take longer."""
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """One file: how many of its manifests are valid, all whose names are known, and what is wrong."""

    file: str
    valid: int
    names: tuple[Named, ...]
    diagnostics: tuple[Diagnostic, ...]

    def named(self) -> tuple[Named, ...]:
        return self.names


def judge(paths: Sequence[Path], *, allow_inline_secrets: bool = False, kept: Path | None = None) -> list[Judged]:
    """Every file, in this order. `kept`: a file to remember judgements in, for the next time that there are many."""
    if len(paths) < MANY:
        return [_judged(path, allow_inline_secrets) for path in paths]
    judgements = Judgements(kept, f"inline secrets: {allow_inline_secrets}")
    known = {path: judgements.find(path) for path in paths}
    unknown = [path for path in paths if known[path] is None]
    found = dict(zip(unknown, _in_processes(unknown, allow_inline_secrets), strict=True))
    for path, judged in found.items():
        judgements.add(path, judged.valid, judged.names, judged.diagnostics)
    judgements.save()
    return [found.get(path) or Judged(str(path), *(known[path] or (0, (), ()))) for path in paths]


def _judged(path: Path, allow_inline_secrets: bool) -> Judged:
    parsed = load(path, allow_inline_secrets=allow_inline_secrets)
    return Judged(parsed.file, len(parsed.manifests), tuple(parsed.named()), parsed.diagnostics)


def _all(paths: Sequence[Path], allow_inline_secrets: bool) -> list[Judged]:
    return [_judged(path, allow_inline_secrets) for path in paths]


def _in_processes(paths: Sequence[Path], allow_inline_secrets: bool) -> Iterator[Judged]:
    processes = min(len(os.sched_getaffinity(0)), 8)
    if len(paths) < MANY or processes < 2:
        yield from _all(paths, allow_inline_secrets)
        return
    parts = [paths[start:start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    context = multiprocessing.get_context("forkserver")  # not fork: what calls this may have threads
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(processes, context) as pool:
        for part in pool.map(_all, parts, [allow_inline_secrets] * len(parts)):
            yield from part
