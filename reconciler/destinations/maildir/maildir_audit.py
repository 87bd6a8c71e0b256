"""Reads what is in Maildirs, to compare it with the ledger. No links are followed. Only `remove`
changes anything: it removes temporary files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from reconciler.destinations.maildir import directories, message_files
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.delivery_names import SUFFIX
from reconciler.destinations.maildir.directories import Directory
from reconciler.destinations.maildir.filesystem_errors import (
    NotAMailbox,
    concerns_one_mailbox,
    explain,
    unavailable,
)
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate

_FLAGS = re.compile("[:,]")
"""The start of the text that a mail program appends to a file's name."""


class TemporaryCopy(Struct, frozen=True):
    """A file of ours in `tmp/`."""

    linked: bool
    """It has another name, so the mail is also elsewhere."""
    stale: bool
    """It is old enough to be removed."""


class MaildirSurvey(Struct, frozen=True):
    """Files of ours in one Maildir."""

    place: MailboxPath
    temporary: Mapping[str, TemporaryCopy]
    untouched: Mapping[str, int]
    """Names in `new/`, with their sizes in octets."""
    seen: frozenset[str]
    """Names in `cur/` and in folders."""


class Maildirs:
    """All Maildirs of a path such as `/var/mail/{domain}/{local}`. Errors of the file system are
    DestinationUnavailable."""

    def __init__(self, path: str | MailboxPathTemplate) -> None:
        self._template = MailboxPathTemplate(path) if isinstance(path, str) else path

    @property
    def root(self) -> str:
        """Return the fixed part of the path."""
        return self._template.root

    def place(self, address: str) -> MailboxPath | None:
        """Return the path of this address's Maildir; None where it cannot be part of a path."""
        with suppress(NotAMailbox):
            return self._template.mailbox(address)
        return None

    def places(self) -> Iterator[MailboxPath]:
        """Yield the paths of the Maildirs that are there."""
        with unavailable(self.root):
            yield from _places(MailboxPath(self.root, ()), self._template.patterns)

    @staticmethod
    def survey(place: MailboxPath) -> MaildirSurvey | None:
        """Return the files of ours in a Maildir; None where there is no such directory."""
        try:
            with directories.opened(place) as directory, acting_as(directory.owner):
                return _survey(place, directory)
        except NotAMailbox:
            return None
        except OSError as error:
            raise explain(place, error) from error

    @staticmethod
    def remove(place: MailboxPath, names: Sequence[str]) -> None:
        """Remove files from `tmp/`."""
        with (
            unavailable(place),
            directories.opened(place) as maildir,
            directories.inside(maildir, "tmp") as tmp,
            acting_as(tmp.owner),
        ):
            for name in names:
                message_files.remove(tmp.descriptor, name)


def _places(above: MailboxPath, patterns: Sequence[re.Pattern[str]]) -> Iterator[MailboxPath]:
    if not patterns:
        yield above
        return
    try:
        with directories.opened(above) as directory:
            names = [name for name in _names(directory) if patterns[0].fullmatch(name)]
    except NotAMailbox:
        return
    except OSError as error:
        if above.parts and concerns_one_mailbox(error, above.root):
            yield above  # no Maildir, but a survey of it tells why nothing below can be read
            return
        raise
    for name in sorted(names):
        yield from _places(MailboxPath(above.root, (*above.parts, name)), patterns[1:])


def _names(directory: Directory) -> list[str]:
    """Return the names of the directories in it. Links do not count."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with acting_as(directory.owner):
        readable = os.open(".", flags, dir_fd=directory.descriptor)
    try:
        with os.scandir(readable) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    finally:
        os.close(readable)


def _survey(place: MailboxPath, directory: Directory) -> MaildirSurvey:
    """Return the files of ours in a Maildir. We act as its owner already."""
    maildir = directory.descriptor
    temporary = {
        name: TemporaryCopy(status.st_nlink > 1, status.st_mtime < oldest)
        for oldest in _oldest(maildir)
        for name, status in _files(maildir, "tmp")
        if SUFFIX in name
    }
    untouched = {
        name: status.st_size for name, status in _files(maildir, "new") if name.endswith(SUFFIX)
    }
    folders = [name for name in _names(directory) if name.startswith(".")]
    seen = {
        _FLAGS.split(name, maxsplit=1)[0]
        for folder in ("cur", *(f"{name}/{part}" for name in folders for part in ("new", "cur")))
        for name, _ in _files(maildir, folder)
        if SUFFIX in name
    }
    return MaildirSurvey(place, temporary, untouched, frozenset(seen))


def _oldest(maildir: int) -> Iterator[float]:
    for tmp in _directory(maildir, "tmp"):
        yield message_files.oldest_fresh(tmp)


def _files(maildir: int, path: str) -> Iterator[tuple[str, os.stat_result]]:
    for directory in _directory(maildir, path):
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)


def _directory(maildir: int, path: str) -> Iterator[int]:
    """Open a directory of a Maildir and yield its descriptor; yield nothing where it is missing."""
    try:
        directory = os.open(
            path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=maildir
        )
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield directory
    finally:
        os.close(directory)
