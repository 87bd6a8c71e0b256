"""Roles and principals."""

from __future__ import annotations

import hmac
from enum import StrEnum

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection


class Role(StrEnum):
    """What a token allows. Each role includes the ones before it."""

    VIEW = "view"
    OPERATE = "operate"
    """view, and: collect, check, enable, disable, unpark."""
    EDIT = "edit"
    """operate, and: add, change, delete, clear."""

    def includes(self, other: Role) -> bool:
        """Return whether this role may do what `other` may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = list(Role)


class Principal(Struct, frozen=True):
    """Who sends a request. `name` is a token's name, or that of a user whom a trusted proxy
    names. `how` is `socket`, `token`, `session` or `proxy`."""

    name: str
    role: Role
    how: str
    csrf: str = ""
    """The CSRF token that a form of this browser session must send; "" where none is needed."""

    def sent_by_own_page(self, sent: str) -> bool:
        """Return whether `sent` is the CSRF token of this session (hazard W2). The comparison
        takes equally long for each wrong text."""
        return hmac.compare_digest(sent.encode(), self.csrf.encode())


SOCKET = Principal("the control socket", Role.EDIT, "socket")
"""The principal of the control socket (mode 0600): it acts as the daemon's user."""


def principal(request: HTTPConnection) -> Principal | None:
    """Return who sends the request; None where it needs no principal (the probes, the login
    page)."""
    found: Principal | None = request.scope.get("principal")
    return found


def require_role(request: HTTPConnection, role: Role) -> Principal:
    """Return who sends the request, if the role suffices. Raises HTTPException 401 or 403."""
    who = principal(request)
    if who is None:
        raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
    if not who.role.includes(role):
        raise HTTPException(
            403, f"the role {role.value} is needed; {who.name} has {who.role.value}"
        )
    return who
