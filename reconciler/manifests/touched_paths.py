"""Paths that events or writers name, judged one by one: so that one saved file among thousands
needs no walk."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Mapping

from reconciler.manifests.directory_walk import is_ignored, is_manifest_name
from reconciler.manifests.manifest_files import Identity, identity


def touched_files(
    names: Iterable[str], known: Container[str], directories: Mapping[str, Identity]
) -> Mapping[str, bool] | None:
    """Return the manifest files among the touched paths, each with whether it is there now; None
    where only a walk can tell.

    `known` are the files of the last walk, and `directories` its `Walk.plain`. Only a walk can tell
    of directories that came, went or were exchanged, of links, and of what is no regular file.
    """
    found: dict[str, bool] = {}
    same: dict[str, bool] = {}
    for name in names:
        directory, _, base = name.rpartition("/")
        if name in directories or directory not in directories or not _is_utf8(name):
            return None
        if directory not in same:
            same[directory] = _identity_of(directory) == directories[directory]
        if not same[directory]:
            return None
        if is_ignored(base):
            continue
        is_there = _is_regular(name)
        if is_there is None:
            return None
        if is_manifest_name(base) and (is_there or name in known):
            found[name] = is_there
    return found


def _identity_of(directory: str) -> Identity | None:
    try:
        return identity(os.stat(directory))  # noqa: PTH116  # paths are text here
    except OSError:
        return None


def _is_regular(name: str) -> bool | None:
    """Return whether a regular file is there; None where there is something else."""
    try:
        return stat.S_ISREG(os.lstat(name).st_mode) or None
    except FileNotFoundError:
        return False
    except OSError:
        return None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
