"""The names of delivered files: the same message for the same recipient gets the same name after
any crash."""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata

from reconciler.model.messages import DeliveryId, Folder

SUFFIX = ".mailcollector"
_DIGITS = 10
_SHORT = 40
"""Hexadecimal digits: 160 bits."""
_SHORT_CONTENT = 32


def name(message: DeliveryId, recipient: str) -> str:
    """A function of epoch, identity and recipient alone, under 100 characters.

    The UID comes first (IMAP; else 0), for readers that sort by name to show messages in their
    order.
    """
    order = message.key if message.key.isascii() and message.key.isdigit() else ""
    identity = (
        f"[{_history(message.collector, message.epoch, message.folder)}, {json.dumps(message.key)}, "
        f"{message.occurrence}, {_whom(recipient)}]"
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return f"{order[:_DIGITS].zfill(_DIGITS)}.{digest[:_SHORT]}{SUFFIX}"


@functools.lru_cache(64)
def _history(collector: str, epoch: int, folder: Folder) -> str:
    """The part of the identity that all messages of a session share, as JSON without its
    brackets."""
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
def _whom(recipient: str) -> str:
    return json.dumps(unicodedata.normalize("NFC", recipient).casefold())


def other(taken: str, content: str) -> str:
    """The name for different content where the first one is `taken`; `content` is its SHA-256 in
    hex."""
    return f"{taken.removesuffix(SUFFIX)}-{content[:_SHORT_CONTENT]}{SUFFIX}"
