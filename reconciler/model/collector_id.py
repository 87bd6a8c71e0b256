"""The value of X-Collector-Id, which mail handed to a mail system bears: a repeat has the same one,
so that the receiver can drop it, and a message that comes back through a loop is recognised by the
collector's key in it."""

from __future__ import annotations

import hashlib

from reconciler.model.messages import Account, DeliveryId

HEADER = "X-Collector-Id"


def collector_key(collector: str, account: Account) -> str:
    """Names one collector among all in the world; the same over every protocol and port of its
    account."""
    return _digest(collector, account.host, account.username)[:16]


def collector_id(message: DeliveryId) -> str:
    """`<message>.<collector>`, both in hex; a function of the message's identity, so the same after
    a crash."""
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
    """The collector's key in a header's value, whatever else stands there."""
    return value.strip().rpartition(".")[2]


def _digest(*parts: str | int) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()
