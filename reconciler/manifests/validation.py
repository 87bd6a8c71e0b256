"""`validate`: every error of every file, without opening a secret, a CA file or a connection."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.diagnostics import Diagnostic, in_order
from reconciler.manifests.files import displayed
from reconciler.manifests.judgements import place
from reconciler.manifests.judging import judge
from reconciler.manifests.policy import require_apart
from reconciler.manifests.together import check_together
from reconciler.manifests.walking import DirectoryVanished, Oddities, walk
from reconciler.model.policy import allowed

DEFAULT = Path("collectors.d")


class NoSuchPath(Exception):
    """A path to validate does not exist, or a directory cannot be listed: a mistake in the call."""


class Validation(Struct, frozen=True):
    """`files` were looked at, with so many valid `manifests` in them."""

    files: tuple[str, ...]
    manifests: int
    diagnostics: tuple[Diagnostic, ...]

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.diagnostics)

    @property
    def failed(self) -> bool:
        return any(diagnostic.is_error for diagnostic in self.diagnostics)


def validate(paths: Sequence[Path] = (), *, allow_inline_secrets: bool = False) -> Validation:
    """Validate files and directories (default: ./collectors.d). Raises `NoSuchPath`.

    Where only files are named, a Destination or Template may be in another one, so that a missing one is a warning.
    """
    chosen = list(paths) or [DEFAULT]
    for path in chosen:
        if path.is_dir():
            require_apart(allowed(), path)
    found_by = dict(_files(chosen))
    whole = any(path.is_dir() for path in chosen)
    judged = judge(list(found_by), whole=whole, allow_inline_secrets=allow_inline_secrets, kept=place(chosen),
                   oddities=found_by)
    together = check_together(judged, whole=whole)
    found = [*(diagnostic for file in judged for diagnostic in file.diagnostics), *together.diagnostics]
    return Validation(tuple(map(displayed, found_by)), sum(file.valid for file in judged), tuple(in_order(found)))


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, Oddities]]:
    """Each with what the walk that found it tells of it."""
    for path in paths:
        if path.is_dir():
            try:
                found = walk(path)
            except DirectoryVanished as error:
                raise NoSuchPath(str(error)) from error
            yield from ((file, found.oddities) for file in found.files)
        elif os.path.lexists(path):
            yield path, Oddities.beside(path)
        else:
            raise NoSuchPath(f"{displayed(path)}: no such file or directory")
