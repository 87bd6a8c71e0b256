"""The names of delivered files: the same message for the same recipient gets the same name after any crash."""

from __future__ import annotations

import hashlib
import json
import unicodedata

from reconciler.model.messages import DeliveryId

SUFFIX = ".mailcollector"
_DIGITS = 10
_SHORT = 40
"""Hexadecimal digits: 160 bits."""
_SHORT_CONTENT = 32


def name(message: DeliveryId, recipient: str) -> str:
    """A function of epoch, identity and recipient alone, under 100 characters.

    The UID comes first (IMAP; else 0), for readers that sort by name to show messages in their order.
    """
    folder, account = message.folder, message.folder.account
    identity = [message.collector, message.epoch, account.protocol, account.host, account.port, account.username,
                folder.name, folder.validity, message.key, message.occurrence,
                unicodedata.normalize("NFC", recipient).casefold()]
    order = message.key if message.key.isascii() and message.key.isdigit() else ""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return f"{order[:_DIGITS].zfill(_DIGITS)}.{digest[:_SHORT]}{SUFFIX}"


def other(taken: str, content: str) -> str:
    """The name for different content where the first one is `taken`; `content` is its SHA-256 in hex."""
    return f"{taken.removesuffix(SUFFIX)}-{content[:_SHORT_CONTENT]}{SUFFIX}"
