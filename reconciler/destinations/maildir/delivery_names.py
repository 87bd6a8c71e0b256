"""Names of delivered files. The same message for the same recipient has the same name, also after a
crash."""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata

from reconciler.model.messages import DeliveryId, Folder

SUFFIX = ".mailcollector"
"""End of the names of our files."""
_DIGITS = 10
"""Digits of the UID in a name."""
_SHORT = 40
"""Hexadecimal digits: 160 bits."""
_SHORT_CONTENT = 32


def first_name(message: DeliveryId, recipient: str) -> str:
    """Return the name of a file: a function of epoch, identity and recipient alone, of less than
    100 characters.

    It begins with the UID (IMAP; else 0), so that mail programs that sort by name show messages in
    their order.
    """
    order = message.key if message.key.isascii() and message.key.isdigit() else ""
    identity = (
        f"[{_history(message.collector, message.epoch, message.folder)}, "
        f"{json.dumps(message.key)}, {message.occurrence}, {_normalized(recipient)}]"
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return f"{order[:_DIGITS].zfill(_DIGITS)}.{digest[:_SHORT]}{SUFFIX}"


@functools.lru_cache(64)
def _history(collector: str, epoch: int, folder: Folder) -> str:
    """Return the common part of the identity of a folder's messages, as JSON without brackets."""
    account = folder.account
    return json.dumps(
        [
            collector,
            epoch,
            account.protocol,
            account.host,
            account.port,
            account.username,
            folder.name,
            folder.validity,
        ]
    )[1:-1]


@functools.lru_cache(256)
def _normalized(recipient: str) -> str:
    """Return the recipient as JSON, the same for all spellings of an address."""
    return json.dumps(unicodedata.normalize("NFC", recipient).casefold())


def second_name(taken: str, content: str) -> str:
    """Return the name for a message whose first name is `taken` by other content. `content` is the
    SHA-256 of its own content, in hex."""
    return f"{taken.removesuffix(SUFFIX)}-{content[:_SHORT_CONTENT]}{SUFFIX}"
