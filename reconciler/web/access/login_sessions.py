"""Browser sessions: a signed cookie names the token that somebody logged in with.

The cookie is signed, not stored, so it survives a restart of the daemon. It ends after 12 hours,
when its token is revoked, or when its user logs out. A random part of it makes the session's own
CSRF token, which every form sends along (hazard W2).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from itsdangerous import BadData, URLSafeTimedSerializer

from reconciler.web.access.ended_logins import EndedLogins
from reconciler.web.access.roles import Principal
from reconciler.web.access.token_file import ApiToken, TokenFile

LIFETIME = 12 * 3600
"""Seconds that a session lasts."""
LINK_LIFETIME = 600
"""Seconds that a one-time link can be used."""
_SESSION, _LINK = "session", "login-link"


class LoginSessions:
    """Makes and reads the cookies of browser sessions, and one-time login links."""

    def __init__(self, tokens: TokenFile, ended: EndedLogins | None = None) -> None:
        self._tokens = tokens
        self._ended = ended or EndedLogins()
        """Used links, and sessions that were logged out of."""
        self._fallback = secrets.token_hex(32)
        """The key to sign with where the file of tokens has none, because it is mounted
        read-only. Sessions then end with the process."""

    def cookie(self, token: ApiToken) -> str:
        """Return the value of the cookie of a new session."""
        return self._serializer(_SESSION).dumps([token.name, token.hash[-16:], secrets.token_hex()])

    def principal(self, cookie: str) -> Principal | None:
        """Return whose session a cookie is; None for a wrong or an old one."""
        found = self._loaded(_SESSION, cookie, LIFETIME)
        token = self._tokens.named(found[0]) if found else None
        if found is None or token is None or not token.hash.endswith(found[1]):
            return None
        if found[2] in self._ended:
            return None
        return Principal(token.name, token.role, "session", self._csrf(found[2]))

    def end(self, cookie: str) -> None:
        """End the session of a cookie, and of every copy of it."""
        if found := self._loaded(_SESSION, cookie, LIFETIME):
            self._ended.add(found[2], LIFETIME)

    def csrf_of_user(self, name: str) -> str:
        """Return the CSRF token of a user that a trusted proxy names."""
        return self._csrf(f"user {name}")

    def link(self, token: ApiToken) -> str:
        """Return the secret part of a link that logs in once."""
        return self._serializer(_LINK).dumps([token.name, token.hash[-16:], secrets.token_hex()])

    def redeem(self, link: str) -> ApiToken | None:
        """Return the token's name in a link that was not used before; None for any other."""
        found = self._loaded(_LINK, link, LINK_LIFETIME)
        if found is None or found[2] in self._ended:
            return None
        self._ended.add(found[2], LINK_LIFETIME)
        token = self._tokens.named(found[0])
        return token if token and token.hash.endswith(found[1]) else None

    def seal(self, purpose: str, *parts: str) -> str:
        """Return these parts as a signed text, for another purpose than logging in."""
        return self._serializer(purpose).dumps(list(parts))

    def unseal(self, purpose: str, text: str, lifetime: int) -> tuple[str, ...]:
        """Return the parts of a signed text; none where it is not ours, or too old."""
        try:
            found = self._serializer(purpose).loads(text, max_age=lifetime)
        except BadData:
            return ()
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def _loaded(self, purpose: str, text: str, lifetime: int) -> tuple[str, str, str] | None:
        try:
            found = self._serializer(purpose).loads(text, max_age=lifetime)
        except BadData:
            return None
        name, digest, nonce = found
        return str(name), str(digest), str(nonce)

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._key, salt=purpose, signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _csrf(self, nonce: str) -> str:
        return hmac.new(self._key.encode(), f"csrf {nonce}".encode(), hashlib.sha256).hexdigest()

    @property
    def _key(self) -> str:
        return self._tokens.signing_key or self._fallback
