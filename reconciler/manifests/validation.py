"""Validation of manifests without reading secrets or CA files and without connections."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.manifests.check_cache import place
from reconciler.manifests.checks.cross_file_checks import check_across_files
from reconciler.manifests.diagnostics import Diagnostic, Severity, in_order
from reconciler.manifests.directory_walk import DirectoryVanished, SpecialPaths, walk
from reconciler.manifests.manifest_files import LARGEST, displayed
from reconciler.manifests.parallel_check import check_files
from reconciler.model.manifest_policy import allowed, require_apart

DEFAULT = Path("collectors.d")
STANDARD_INPUT = Path("-")


class NoSuchPath(Exception):
    """A path to validate does not exist, or a directory cannot be listed."""


class Validation(Struct, frozen=True):
    """The result of a validation.

    `files` are the paths that were checked, `manifests` the number of valid manifests in them.
    `given` has the contents of files that can be read only once.
    """

    files: tuple[str, ...]
    manifests: int
    diagnostics: tuple[Diagnostic, ...]
    given: Mapping[str, bytes] = {}

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.diagnostics)

    @property
    def failed(self) -> bool:
        return any(diagnostic.is_error for diagnostic in self.diagnostics)

    @property
    def warned(self) -> bool:
        return any(diagnostic.severity is Severity.WARNING for diagnostic in self.diagnostics)


def validate(
    paths: Sequence[Path] = (),
    *,
    allow_inline_secrets: bool = False,
    standard_input: Callable[[], bytes] = lambda: sys.stdin.buffer.read(LARGEST + 1),
) -> Validation:
    """Validate files and directories (default: ./collectors.d). Raises `NoSuchPath`.

    `-` is standard input. FIFOs and devices are read to their end. If only files are given, a
    missing Destination or Template is a warning, because it may be in another file.
    """
    chosen = list(paths) or [DEFAULT]
    for path in chosen:
        if path.is_dir():
            require_apart(allowed(), path)
    found_by = dict(_files(chosen))
    whole = any(path.is_dir() for path in chosen)
    given = {
        path: _given(path, standard_input)
        for path in found_by
        if path in chosen and _is_stream(path)
    }
    judged = check_files(
        list(found_by),
        whole=whole,
        allow_inline_secrets=allow_inline_secrets,
        kept=place(chosen),
        special_paths=found_by,
        given=given,
    )
    together = check_across_files(judged, whole=whole)
    found = [
        *(diagnostic for file in judged for diagnostic in file.diagnostics),
        *together.diagnostics,
    ]
    return Validation(
        tuple(map(displayed, found_by)),
        sum(file.valid for file in judged),
        tuple(in_order(found)),
        {str(path): data for path, data in given.items()},
    )


def _is_stream(path: Path) -> bool:
    """Return whether a path can be read only once, such as standard input and `<(program)`."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path == STANDARD_INPUT
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or str(path).startswith("/dev/")


def _given(path: Path, standard_input: Callable[[], bytes]) -> bytes:
    try:
        if path == STANDARD_INPUT:
            data = standard_input()
        else:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise NoSuchPath(f"{displayed(path)}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise NoSuchPath(
            f"{displayed(path)} has more than {LARGEST:,} bytes: at most so many are read"
        )
    return data


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, SpecialPaths]]:
    """Yield each file with the oddities of the walk that found it."""
    for path in paths:
        if path.is_dir():
            try:
                found = walk(path)
            except DirectoryVanished as error:
                raise NoSuchPath(str(error)) from error
            yield from ((file, found.special_paths) for file in found.files)
        elif os.path.lexists(path) or path == STANDARD_INPUT:
            yield path, SpecialPaths.beside(path)
        else:
            raise NoSuchPath(f"{displayed(path)}: no such file or directory")
