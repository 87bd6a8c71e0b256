"""Roles, and who asks."""

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
    """Also: collect, check, enable, disable, unpark."""
    EDIT = "edit"
    """Also: add, change, delete, clear."""

    def includes(self, other: Role) -> bool:
        """Return whether this role may do what `other` may."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = list(Role)


class Principal(Struct, frozen=True):
    """Who asks. `name` is a token's name, or the user's that a trusted proxy told. `how` is
    `socket`, `token`, `session` or `proxy`."""

    name: str
    role: Role
    how: str
    csrf: str = ""
    """What a form of this browser session must send along; "" where none is needed."""

    def sent_by_own_page(self, sent: str) -> bool:
        """Return whether `sent` is what a page of this session sends along (hazard W2). It takes
        as long for each wrong text."""
        return hmac.compare_digest(sent.encode(), self.csrf.encode())


SOCKET = Principal("the control socket", Role.EDIT, "socket")
"""Whoever can open the control socket (mode 0600) acts as the daemon's user."""


def principal(request: HTTPConnection) -> Principal | None:
    """Return who asks; None where nobody has to say so (the probes, the login page)."""
    found: Principal | None = request.scope.get("principal")
    return found


def require_role(request: HTTPConnection, role: Role) -> Principal:
    """Return who asks, where that role suffices. Raises HTTPException 401 or 403."""
    who = principal(request)
    if who is None:
        raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
    if not who.role.includes(role):
        raise HTTPException(
            403, f"the role {role.value} is needed; {who.name} has {who.role.value}"
        )
    return who
