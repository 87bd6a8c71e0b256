"""What stands in Maildirs, for comparing it with the ledger. Follows nobody's links, and changes
nothing but to remove temporary files when told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from reconciler.destinations.maildir import directories
from reconciler.destinations.maildir import stale_files as stale
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.delivery_names import SUFFIX
from reconciler.destinations.maildir.directories import Directory
from reconciler.destinations.maildir.filesystem_errors import (
    NotAMailbox,
    explained,
    is_of_one,
    unavailable,
)
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.destinations.maildir.staging import remove

_FLAGS = re.compile("[:,]")
"""What a mail program appends to a file's name begins with one of these."""


class Temporary(Struct, frozen=True):
    """A file of ours in `tmp/`. `linked`: the mail is somewhere else as well; `stale`: old enough
    to be forgotten."""

    linked: bool
    stale: bool


class Survey(Struct, frozen=True):
    """Files of ours in one Maildir: `untouched` in `new/` with their sizes, `seen` in `cur/` and in
    folders."""

    place: MailboxPath
    temporary: Mapping[str, Temporary]
    untouched: Mapping[str, int]
    seen: frozenset[str]


class Maildirs:
    """Every Maildir that a path such as `/var/mail/{domain}/{local}` can stand for. Errors of the
    file system are DestinationUnavailable."""

    def __init__(self, path: str | MailboxPathTemplate) -> None:
        self._template = MailboxPathTemplate(path) if isinstance(path, str) else path

    @property
    def root(self) -> str:
        """The fixed part of the path."""
        return self._template.root

    def place(self, address: str) -> MailboxPath | None:
        """Where this address's mail goes; None where it cannot be part of a path."""
        with suppress(NotAMailbox):
            return self._template.place(address)
        return None

    def places(self) -> Iterator[MailboxPath]:
        """Those that are there."""
        with unavailable(self.root):
            yield from _places(MailboxPath(self.root, ()), self._template.patterns)

    @staticmethod
    def survey(place: MailboxPath) -> Survey | None:
        """What is there; None where no such directory is."""
        try:
            with directories.opened(place) as box:
                return _survey(place, box)
        except NotAMailbox:
            return None
        except OSError as error:
            raise explained(place, error) from error

    @staticmethod
    def remove(place: MailboxPath, names: Sequence[str]) -> None:
        """Take these out of `tmp/`."""
        with (
            unavailable(place),
            directories.opened(place) as box,
            directories.inside(box, "tmp") as tmp,
            acting_as(tmp.owner),
        ):
            for name in names:
                remove(tmp.descriptor, name)


def _places(above: MailboxPath, patterns: Sequence[re.Pattern[str]]) -> Iterator[MailboxPath]:
    if not patterns:
        yield above
        return
    try:
        with directories.opened(above) as box:
            names = [name for name in _names(box) if patterns[0].fullmatch(name)]
    except NotAMailbox:
        return
    except OSError as error:
        if above.parts and is_of_one(error, above.root):
            yield above  # not a Maildir itself, but a survey tells why nothing below can be read
            return
        raise
    for name in sorted(names):
        yield from _places(MailboxPath(above.root, (*above.parts, name)), patterns[1:])


def _names(box: Directory) -> list[str]:
    """Directories in it that are no links."""
    with acting_as(box.owner):
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=box.descriptor)
    try:
        with os.scandir(readable) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    finally:
        os.close(readable)


def _survey(place: MailboxPath, directory: Directory) -> Survey:
    with acting_as(directory.owner):
        return _surveyed(place, directory)


def _surveyed(place: MailboxPath, directory: Directory) -> Survey:
    box = directory.descriptor
    temporary = {
        name: Temporary(status.st_nlink > 1, status.st_mtime < oldest)
        for oldest in _oldest(box)
        for name, status in _files(box, "tmp")
        if SUFFIX in name
    }
    untouched = {
        name: status.st_size for name, status in _files(box, "new") if name.endswith(SUFFIX)
    }
    folders = [name for name in _names(directory) if name.startswith(".")]
    seen = {
        _FLAGS.split(name, maxsplit=1)[0]
        for folder in ("cur", *(f"{name}/{part}" for name in folders for part in ("new", "cur")))
        for name, _ in _files(box, folder)
        if SUFFIX in name
    }
    return Survey(place, temporary, untouched, frozenset(seen))


def _oldest(box: int) -> Iterator[float]:
    for tmp in _directory(box, "tmp"):
        yield stale.clock(tmp) - stale.AGE


def _files(box: int, path: str) -> Iterator[tuple[str, os.stat_result]]:
    for directory in _directory(box, path):
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)


def _directory(box: int, path: str) -> Iterator[int]:
    """Where it is there."""
    try:
        directory = os.open(
            path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=box
        )
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield directory
    finally:
        os.close(directory)
