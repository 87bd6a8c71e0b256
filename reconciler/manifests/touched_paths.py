"""Paths that events or writers name, judged one by one: so that one saved file among thousands
needs no walk."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping

from reconciler.manifests.directory_walk import is_ignored, is_manifest_name, is_utf8
from reconciler.manifests.manifest_files import Identity, identity


def touched_files(
    names: Iterable[str], known: Collection[str], directories: Mapping[str, Identity]
) -> Mapping[str, bool] | None:
    """Return the manifest files among the touched paths, each with whether it is there now; None
    where only a walk can tell.

    `known` are the files of the last walk, and `directories` its `Walk.plain`. Only a walk can tell
    of directories that came, went or were exchanged, of links, and of what is no regular file.
    Where a file came or went, its directory is listed too, because the kernel drops events where
    there are too many (inotify(7)). What nothing told of then needs a walk.
    """
    found: dict[str, bool] = {}
    same: dict[str, bool] = {}
    listed: set[str] = set()
    for name in names:
        directory, _, base = name.rpartition("/")
        if name in directories or directory not in directories or not is_utf8(name):
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
        if not is_there or name not in known:
            listed.add(directory)
    if all(_holds_only(known, directories, found, one) for one in listed):
        return found
    return None


def _holds_only(
    known: Collection[str],
    directories: Mapping[str, Identity],
    touched: Collection[str],
    directory: str,
) -> bool:
    """Return whether a directory holds what is known or touched, and nothing else."""
    files: set[str] = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    continue
                if entry.is_symlink():
                    return False
                if entry.is_dir():
                    if entry.path not in directories:
                        return False
                elif is_manifest_name(entry.name):
                    files.add(entry.path)
    except OSError:
        return False
    expected = {name for name in known if name.rpartition("/")[0] == directory}
    return files ^ expected <= set(touched)


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
