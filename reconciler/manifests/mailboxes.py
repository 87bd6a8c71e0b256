"""Which mailbox a collector reads, so that two that read the same one are told of each other."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from reconciler.manifests import providers
from reconciler.manifests.fields import Fields

_SOURCE = ("spec", "source")


class Mailbox(Struct, frozen=True):
    """`account`: a digest of server and user name, however the host is written and whatever the protocol."""

    account: str
    folders: tuple[str, ...]
    takes_away: bool
    """The mode is all-delete."""

    def overlaps(self, other: Mailbox) -> bool:
        """Whether a message may be in both: the same folder, or a pattern that matches it."""
        return self.account == other.account and any(
            _matches(one, two) or _matches(two, one) for one in self.folders for two in other.folders)


def of(fields: Fields) -> Mailbox | None:
    """None where the collector is disabled, or its account cannot be told."""
    host, user = fields.text(*_SOURCE, "host"), fields.text(*_SOURCE, "username")
    disabled = fields.has("spec", "enabled") and not fields.is_set("spec", "enabled")
    if not host or not user or disabled:
        return None
    folders = () if fields.text(*_SOURCE, "protocol") == "pop3" else fields.texts(*_SOURCE, "folders")
    account = hashlib.sha256(f"{user.casefold()}\n{providers.server(host)}".encode()).hexdigest()
    return Mailbox(account, tuple(map(_inbox, folders)) or ("INBOX",),
                   fields.text("spec", "collect", "mode") == "all-delete")


def _inbox(folder: str) -> str:
    return "INBOX" if folder.upper() == "INBOX" else folder


def _matches(pattern: str, folder: str) -> bool:
    if pattern == folder:
        return True
    words = (".*" if part == "*" else "[^/]*" if part == "%" else re.escape(part)
             for part in re.split(r"([*%])", pattern))
    return re.fullmatch("".join(words), folder, re.DOTALL) is not None
