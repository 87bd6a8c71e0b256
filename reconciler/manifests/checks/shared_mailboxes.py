"""Which mailbox a collector reads, so that two that read the same one are told of each other."""

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
"""So many patterns of one collector are compared with so many folders of another: this is a lint,
and must end soon."""
_COMPARED = 200_000
"""So many pairs of folders of all the readers of an account together, where one is a pattern."""


class Mailbox(Struct, frozen=True):
    """`account`: a digest of server and user name, however the host is written and whatever the
    protocol."""

    account: str
    folders: tuple[str, ...]
    takes_away: bool
    """The mode is all-delete."""

    def overlaps(self, other: Mailbox) -> bool:
        """Whether a message may be in both: the same folder, or a pattern that matches it."""
        return self.account == other.account and (
            not frozenset(self.folders).isdisjoint(other.folders)
            or _match(self.folders, other.folders)
            or _match(other.folders, self.folders)
        )


class Readers:
    """Those who read an account, in their order: which other one reads what one of them does."""

    def __init__(self, mailboxes: Iterable[tuple[str, Mailbox]]) -> None:
        self._all = list(mailboxes)
        self._by_folder: dict[str, list[int]] = defaultdict(list)
        """The first two of different names that read just this folder."""
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
        """The first of another name that reads some of the same. Of very many patterns not all are
        compared."""
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
    """None where the collector is disabled, or its account cannot be told."""
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
