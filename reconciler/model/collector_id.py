"""The header X-Collector-Id of mail that is sent to a mail system.

A repeated delivery has the same value, so that the receiver can drop it. The collector's key in it
identifies messages that come back in a mail loop.
"""

from __future__ import annotations

import hashlib

from reconciler.model.messages import Account, DeliveryId

HEADER = "X-Collector-Id"


def collector_key(collector: str, account: Account) -> str:
    """Return the globally unique key of a collector. It does not depend on protocol and port."""
    return _digest(collector, account.host, account.username)[:16]


def collector_id(message: DeliveryId) -> str:
    """Return `<message>.<collector>`, both in hex. It depends on the message's identity only, so it
    is the same after a crash."""
    account, folder = message.folder.account, message.folder
    identity = _digest(
        message.collector,
        message.epoch,
        account.protocol,
        account.host,
        account.port,
        account.username,
        folder.name,
        folder.validity,
        message.key,
        message.occurrence,
    )
    return f"{identity[:32]}.{collector_key(message.collector, account)}"


def key_of(value: str) -> str:
    """Return the collector's key in a header's value."""
    return value.strip().rpartition(".")[2]


def _digest(*parts: str | int) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()
