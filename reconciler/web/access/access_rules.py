"""The parts that decide on access: tokens, sessions, limits, proxies, origins."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from msgspec import Struct
from msgspec.structs import replace
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from reconciler.log import log
from reconciler.model.settings import Settings
from reconciler.web.access.ended_logins import FILE as ENDED
from reconciler.web.access.ended_logins import EndedLogins
from reconciler.web.access.login_limits import LoginLimits
from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.request_origins import RequestOrigins
from reconciler.web.access.roles import Principal
from reconciler.web.access.token_file import ApiToken, TokenFile, TokenRefused
from reconciler.web.access.trusted_proxy import TrustedProxies
from reconciler.web.problem_details import problem


class TooManyTries(Exception):
    """Wrong tokens were tried too often. `pause`: seconds until the next try."""

    def __init__(self, pause: int) -> None:
        super().__init__(pause)
        self.pause = pause

    def answer(self) -> Response:
        """Return the answer 429 (RFC 6585, section 4)."""
        return problem(
            429,
            "TooManyRequests",
            f"too many wrong tokens: try again in {self.pause} s",
            {"Retry-After": str(self.pause)},
        )


class AccessRules(Struct, frozen=True):
    """The rules that the guard and the login page apply. `secure`: browsers come by HTTPS, so
    cookies are sent over HTTPS only."""

    tokens: TokenFile
    sessions: LoginSessions
    limits: LoginLimits
    proxies: TrustedProxies
    origins: RequestOrigins
    secure: bool = False

    @classmethod
    def of(cls, settings: Settings) -> AccessRules:
        """Return the rules that the settings give."""
        tokens = TokenFile(settings.token_file)
        return cls(
            tokens,
            LoginSessions(tokens, EndedLogins(settings.state_dir / ENDED)),
            LoginLimits(),
            TrustedProxies(settings.trusted_proxies),
            RequestOrigins(settings),
            settings.public_url.startswith("https://"),
        )

    @property
    def cookie(self) -> str:
        """The name of the session's cookie. `__Host-` has browsers refuse it from another host or
        without TLS (RFC 6265bis, section 4.1.3.2)."""
        return "__Host-mailcollector-session" if self.secure else "mailcollector-session"

    def token(self, address: str, secret: str) -> ApiToken | None:
        """Return the token with this text; None for a wrong one.

        A right token is accepted during a pause too, and ends the pause. So wrong tries from the
        same address or proxy lock nobody out. Raises TooManyTries, TokenRefused.
        """
        found = self.tokens.find(secret)
        if found is not None:
            self.limits.succeeded(address)
            return found
        if pause := self.limits.pause(address):
            raise TooManyTries(pause)
        self.limits.failed(address)
        # not the token: it may be one of another server
        log.warning("wrong token", address=address, pause=self.limits.pause(address))
        return None

    def count_wrong_link(self, address: str) -> None:
        """Count a one-time link that opens nothing as a wrong token. Raises HTTPException 429."""
        if pause := self.limits.pause(address):
            raise HTTPException(
                429, f"too many wrong links: try again in {pause} s", {"Retry-After": str(pause)}
            )
        self.limits.failed(address)
        log.warning("wrong link", address=address, pause=self.limits.pause(address))

    def holds(self, who: Principal, headers: Headers) -> bool:
        """Return whether somebody who was admitted with these headers still would be, with at least
        the same role."""
        try:
            if who.how == "token":
                secret = headers.get("authorization", "").partition(" ")[2].strip()
                now: ApiToken | Principal | None = self.tokens.find(secret)
            elif who.how == "session":
                now = self.session(headers)
            else:
                return True
        except TokenRefused:
            return False
        return now is not None and now.role.includes(who.role)

    def session(self, headers: Headers) -> Principal | None:
        """Return whose browser session the cookie is; None without one."""
        cookie = self.sent_cookie(headers)
        return self.sessions.principal(cookie) if cookie else None

    def sent_cookie(self, headers: Headers) -> str:
        """Return the session's cookie; "" without one."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    def proxied(self, peer: str, headers: Headers) -> Principal | None:
        """Return the user that a trusted proxy names, with the CSRF token of that user."""
        who = self.proxies.principal(peer, headers)
        return replace(who, csrf=self.sessions.csrf_of_user(who.name)) if who else None
