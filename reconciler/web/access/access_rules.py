"""What decides over access, in one piece: tokens, sessions, limits, proxies."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.settings import Settings
from reconciler.web.access.login_limits import LoginLimits
from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.token_file import TokenFile
from reconciler.web.access.trusted_proxy import TrustedProxies


class AccessRules(Struct, frozen=True):
    """What the guard and the login page go by. `secure`: browsers come by HTTPS, so cookies are
    sent by that alone."""

    tokens: TokenFile
    sessions: LoginSessions
    limits: LoginLimits
    proxies: TrustedProxies
    secure: bool = False

    @property
    def cookie(self) -> str:
        """The name of the session's cookie. `__Host-` has browsers refuse it from another host or
        without TLS (RFC 6265bis, section 4.1.3.2)."""
        return "__Host-mailcollector-session" if self.secure else "mailcollector-session"

    @classmethod
    def of(cls, settings: Settings) -> AccessRules:
        """Return what the settings say."""
        tokens = TokenFile(settings.token_file)
        return cls(
            tokens,
            LoginSessions(tokens),
            LoginLimits(),
            TrustedProxies(settings.trusted_proxies),
            settings.public_url.startswith("https://"),
        )
