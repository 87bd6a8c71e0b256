"""The path of an address's Maildir. No address leads out of the template's fixed part (hazard
M9)."""

from __future__ import annotations

import errno
import functools
import os
import re
import unicodedata
from typing import NamedTuple

from reconciler.destinations.maildir.filesystem_errors import NotAMailbox
from reconciler.model.errors import NotSupported

_FIELD = re.compile(r"\{(local|domain)\}")
_PUNCTUATION = frozenset("!#$%&'*+-=?^_`{|}~.@")
"""atext and the dot (RFC 5322, section 3.2.3); `@` comes from templates only."""
_NAME_OCTETS = 255
"""Octets that a directory's name may have."""
_ADDRESSES = 1024
"""Addresses whose paths are remembered, for all sessions."""


class MailboxPath(NamedTuple):
    """The path of a Maildir: the directories `parts` below `root`. Links are followed in `root`
    only, which the administrator wrote."""

    root: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return os.path.join(self.root, *self.parts)  # noqa: PTH118  # shown as it was declared


class MailboxPathTemplate:
    """A path such as `/var/mail/{domain}/{local}`. Its fixed part, `root`, ends before the first
    name with a field in it."""

    def __init__(self, text: str) -> None:
        """Parse a template. Raises NotSupported where it leads out of its own fixed part."""
        names = text.split("/")
        fixed = next((index for index, name in enumerate(names) if _FIELD.search(name)), len(names))
        root = "/".join([*names[:fixed], ""])  # with a slash at the end
        # Joined as text: pathlib drops `..`.
        self.root = os.path.join(os.getcwd(), root).rstrip("/") or "/"  # noqa: PTH109, PTH118
        self._parts = tuple(name for name in names[fixed:] if name not in ("", "."))
        if ".." in self._parts:
            raise NotSupported(
                f"the Maildir path {text!r} has `..` after a placeholder: write it without"
            )

    @property
    def patterns(self) -> list[re.Pattern[str]]:
        """Return a pattern for each level of directories below `root`. No field begins a name with
        a dot."""
        return [_pattern(part) for part in self._parts]

    def mailbox(self, address: str) -> MailboxPath:
        """Return the path of this address's Maildir. Raises NotAMailbox where the address cannot be
        part of a path."""
        return _mailbox(self.root, self._parts, address)


@functools.lru_cache(_ADDRESSES)
def _mailbox(root: str, parts: tuple[str, ...], address: str) -> MailboxPath:
    local, _, domain = address.rpartition("@")
    values = {"local": local, "domain": domain}
    return MailboxPath(root, tuple(_filled(part, values) for part in parts))


def _pattern(part: str) -> re.Pattern[str]:
    pieces = _FIELD.split(part)  # every other one is a field's name
    if len(pieces) == 1:
        return re.compile(re.escape(part))
    filled = (".+" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return re.compile(r"(?!\.)" + "".join(filled))


def _filled(part: str, values: dict[str, str]) -> str:
    for field in _FIELD.findall(part):
        _check(values[field])
    name = _FIELD.sub(lambda field: values[field[1]], part)
    if len(name.encode()) > _NAME_OCTETS:
        raise NotAMailbox(errno.ENAMETOOLONG, "the address is too long for the name of a directory")
    return name


def _check(value: str) -> None:
    if not value or value.startswith("."):
        raise NotAMailbox(
            errno.EINVAL, "the address is empty before or after the @, or begins with a dot there"
        )
    if not all(
        character in _PUNCTUATION or unicodedata.category(character)[0] in "LMN"
        for character in value
    ):
        raise NotAMailbox(
            errno.EINVAL, "the address has characters that are not safe in the name of a directory"
        )
