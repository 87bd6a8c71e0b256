"""One-time links for the owners of mailboxes. The owner of one collector's mailbox sets its
password or consents, and can do nothing else.

A link is signed, not stored. It holds a digest of the secret file's stamp. So it is void once
something is written there, also after a restart.
"""

from __future__ import annotations

import hashlib

from reconciler.web.access.login_sessions import LoginSessions

LIFETIME = 3 * 86400
"""Seconds that a link can be used."""
_PURPOSE = "owner-link"


class OwnerLinks:
    """Makes and reads links."""

    def __init__(self, sessions: LoginSessions) -> None:
        self._sessions = sessions

    def link(self, collector: str, stamp: str) -> str:
        """Return the secret part of a link for the owner of this collector's mailbox."""
        return self._sessions.seal(_PURPOSE, collector, _digest(stamp))

    def collector(self, link: str) -> str | None:
        """Return whose link this is; None for a wrong or an old one. Whether it was used
        already: see `is_fresh`."""
        found = self._sessions.unseal(_PURPOSE, link, LIFETIME)
        return found[0] if found and len(found) == 2 else None

    def is_fresh(self, link: str, stamp: str) -> bool:
        """Return whether nothing was written since the link was made."""
        found = self._sessions.unseal(_PURPOSE, link, LIFETIME)
        return bool(found) and found[1:] == (_digest(stamp),)


def _digest(stamp: str) -> str:
    return hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()[:24]
