"""Which mailbox a collector reads, so that two that read the same one are told of each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from reconciler.manifests import providers
from reconciler.manifests.fields import Fields
from reconciler.model.patterns import Pattern, is_pattern

_SOURCE = ("spec", "source")
_PATTERNS = 50
_FOLDERS = 500
"""So many patterns of one collector are compared with so many folders of another: this is a lint, and must end soon."""


class Mailbox(Struct, frozen=True):
    """`account`: a digest of server and user name, however the host is written and whatever the protocol."""

    account: str
    folders: tuple[str, ...]
    takes_away: bool
    """The mode is all-delete."""

    def overlaps(self, other: Mailbox) -> bool:
        """Whether a message may be in both: the same folder, or a pattern that matches it."""
        return self.account == other.account and (
            not frozenset(self.folders).isdisjoint(other.folders)
            or _match(self.folders, other.folders) or _match(other.folders, self.folders))


def of(fields: Fields) -> Mailbox | None:
    """None where the collector is disabled, or its account cannot be told."""
    host, user = providers.host(fields), fields.text(*_SOURCE, "username")
    disabled = fields.has("spec", "enabled") and not fields.is_set("spec", "enabled")
    if not host or not user or disabled:
        return None
    folders = () if fields.text(*_SOURCE, "protocol") == "pop3" else fields.texts(*_SOURCE, "folders")
    account = hashlib.sha256(f"{user.casefold()}\n{providers.server(host)}".encode()).hexdigest()
    return Mailbox(account, tuple(map(_inbox, folders)) or ("INBOX",),
                   fields.text("spec", "collect", "mode") == "all-delete")


def _inbox(folder: str) -> str:
    return "INBOX" if folder.upper() == "INBOX" else folder


def _match(patterns: Iterable[str], folders: Sequence[str]) -> bool:
    return any(pattern.matches(folder) for pattern in map(Pattern, islice(filter(is_pattern, patterns), _PATTERNS))
               for folder in folders[:_FOLDERS])
