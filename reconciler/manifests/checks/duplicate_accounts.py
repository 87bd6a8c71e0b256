"""The mailboxes of collectors, to find collectors that read the same one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from reconciler.manifests.checks import provider_hints
from reconciler.manifests.checks.field_values import Fields
from reconciler.model.folder_patterns import Pattern, is_pattern

_SOURCE = ("spec", "source")
_PATTERNS = 50
_FOLDERS = 500
"""The numbers of one collector's patterns and another's folders that are compared. More are not
worth the time of a warning."""
_COMPARED = 200_000
"""The number of pairs of pattern and folder that are compared for all collectors of one account."""


class Mailbox(Struct, frozen=True):
    """The mailbox that a collector reads.

    `account` is a digest of server and user name. It does not depend on the protocol or on the
    spelling of the host.
    """

    account: str
    folders: tuple[str, ...]
    takes_away: bool
    """Whether the mode is all-delete."""

    def overlaps(self, other: Mailbox) -> bool:
        """Return whether both have a folder in common, by name or by a pattern."""
        return self.account == other.account and (
            not frozenset(self.folders).isdisjoint(other.folders)
            or _match(self.folders, other.folders)
            or _match(other.folders, self.folders)
        )


class AccountReaders:
    """The collectors of one account, in order, to find those that read the same folders."""

    def __init__(self, mailboxes: Iterable[tuple[str, Mailbox]]) -> None:
        self._all = list(mailboxes)
        self._by_folder: dict[str, list[int]] = defaultdict(list)
        """By folder: the first two collectors of different names that list it without a pattern."""
        for number, (name, mailbox) in enumerate(self._all):
            for folder in mailbox.folders:
                found = self._by_folder[folder]
                if len(found) < 2 and all(self._all[other][0] != name for other in found):
                    found.append(number)
        self._patterned = [
            number
            for number, (_, mailbox) in enumerate(self._all)
            if any(map(is_pattern, mailbox.folders))
        ]
        self._left = _COMPARED

    def other(self, name: str, mailbox: Mailbox) -> int | None:
        """Return the index of the first collector of another name that reads a common folder, or
        None. If there are very many patterns, some are not compared."""
        same = min(
            (
                number
                for folder in mailbox.folders
                for number in self._by_folder[folder]
                if self._all[number][0] != name
            ),
            default=len(self._all),
        )
        others = range(same) if any(map(is_pattern, mailbox.folders)) else self._patterned
        for number in others:
            if number >= same or self._left <= 0:
                break
            self._left -= _pairs(mailbox, self._all[number][1])
            if self._all[number][0] != name and mailbox.overlaps(self._all[number][1]):
                return number
        return same if same < len(self._all) else None


def _pairs(one: Mailbox, other: Mailbox) -> int:
    return min(_FOLDERS, len(one.folders)) * min(_FOLDERS, len(other.folders))


def of(fields: Fields) -> Mailbox | None:
    """Return the collector's mailbox, or None if it is disabled or its account is unreadable."""
    host, user = provider_hints.host(fields), fields.text(*_SOURCE, "username")
    disabled = fields.has("spec", "enabled") and not fields.is_set("spec", "enabled")
    if not host or not user or disabled:
        return None
    folders = (
        () if fields.text(*_SOURCE, "protocol") == "pop3" else fields.texts(*_SOURCE, "folders")
    )
    account = hashlib.sha256(
        f"{user.casefold()}\n{provider_hints.server(host)}".encode()
    ).hexdigest()
    return Mailbox(
        account,
        tuple(map(_inbox, folders)) or ("INBOX",),
        fields.text("spec", "collect", "mode") == "all-delete",
    )


def _inbox(folder: str) -> str:
    return "INBOX" if folder.upper() == "INBOX" else folder


def _match(patterns: Iterable[str], folders: Sequence[str]) -> bool:
    return any(
        pattern.matches(folder)
        for pattern in map(Pattern, islice(filter(is_pattern, patterns), _PATTERNS))
        for folder in folders[:_FOLDERS]
    )
