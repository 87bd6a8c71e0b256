"""Credentials as they go onto the wire."""

from __future__ import annotations

import re

from reconciler.model.errors import SourceUnsuitable
from reconciler.model.secret import Secret

_FORBIDDEN = re.compile("[\r\n\0]")


def check_credentials(username: str, password: Secret) -> None:
    """Refuse CR, LF and NUL: they would end the command and begin another one (hazard 3)."""
    for field, value in (("username", username), ("password", password.reveal())):
        if _FORBIDDEN.search(value):
            raise SourceUnsuitable(f"The {field} contains a line end or NUL, which no server can be sent. "
                                   f"Correct source.{field}.")


def plain(username: str, password: Secret) -> bytes:
    """The message of SASL PLAIN (RFC 4616), in UTF-8, not yet in base64."""
    check_credentials(username, password)
    return f"\0{username}\0{password.reveal()}".encode()
