"""Mail loops (hazard M10): a mail system forwards a message back to the collected account."""

from __future__ import annotations

from reconciler.mail.headers import fields
from reconciler.model.collector_id import HEADER, key_of

HOPS = 100
"""Received fields of a message; RFC 5321, section 6.3, allows at least 100."""


def loop_reason(head: bytes, key: str) -> str | None:
    """Return why a message is in a loop; None where it is not.

    `key` is the collector's own (`model.collector_id`).
    """
    hops = 0
    for field in fields(head, {"received", HEADER.lower()}):
        if field.name.lower() == "received":
            hops += 1
        elif key_of(field.value) == key:
            return f"mail loop: line {field.line} bears this collector's own {HEADER}"
    return f"mail loop: more than {HOPS} Received fields" if hops > HOPS else None
