"""Limit how often the owner of a mailbox may try passwords: servers lock an account after a few
wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from reconciler.control.mailbox_access import NoAccessGiven

FREE = 3
"""Refused passwords without a pause."""
_FIRST = 60.0
"""Seconds of the first pause; each is twice as long as the one before."""
_LONGEST = 3600.0
_FORGOTTEN = 86_400.0
"""Seconds after the last pause, when refusals are forgotten."""


class _RefusedTries(Struct):
    count: int = 0
    until: float = 0.0


class PasswordTries:
    """Counts the passwords that servers refused, by collector. `clock` gives seconds that only
    grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refused: dict[str, _RefusedTries] = {}

    def require(self, name: str) -> None:
        """Raise NoAccessGiven during a pause."""
        found = self._refused.get(name)
        left = math.ceil(found.until - self._clock()) if found else 0
        if left > 0:
            raise NoAccessGiven(
                f"the server refused several passwords: try again in {left} s, so that it does "
                "not lock the account"
            )

    def failed(self, name: str) -> None:
        """Count a refused password."""
        found, now = self._refused.get(name, _RefusedTries()), self._clock()
        if now - found.until > _FORGOTTEN:
            found = _RefusedTries()
        found.count += 1
        beyond = found.count - FREE
        pause = min(_LONGEST, _FIRST * 2.0 ** min(beyond, 16)) if beyond >= 0 else 0.0
        found.until = now + pause
        self._refused[name] = found

    def succeeded(self, name: str) -> None:
        """Forget what was refused before."""
        self._refused.pop(name, None)
