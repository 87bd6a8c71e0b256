"""Mail that comes round again (hazard M10): only where it is handed to a mail system, which may
forward it."""

from __future__ import annotations

from reconciler.mail.headers import fields
from reconciler.model.collector_id import HEADER, key_of

HOPS = 100
"""RFC 5321, section 6.3: at least 100 Received fields are normal."""


def loops(head: bytes, key: str) -> str | None:
    """Why this message goes in circles, None if it does not. `key` is the collector's own
    (`collector_key`)."""
    hops = 0
    for field in fields(head, {"received", HEADER.lower()}):
        if field.name.lower() == "received":
            hops += 1
        elif key_of(field.value) == key:
            return f"mail loop: line {field.line} bears this collector's own {HEADER}"
    return f"mail loop: more than {HOPS} Received fields" if hops > HOPS else None
