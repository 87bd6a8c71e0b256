"""Several ways of logging in with the same credentials, tried in turn, once each, as one attempt.

Servers offer ways that do not work for an account: a mechanism whose hash the server does not keep,
a command that a proxy does not understand. What an answer means decides whether the next way is
tried: "what?" is no refused password. A server that names the credentials as the reason is asked
once more, in the plainest way, and then believed, so that no account is locked for our insistence.
What worked is remembered (`accounts`), so that the next login is one try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    SourceError,
    SourceUnsuitable,
)
from reconciler.wire.account_memory import AccountMemory
from reconciler.wire.sasl import Credentials

_BELIEVED = 2
"""So many refusals for which the server names the credentials."""
_CONSENT = (
    "The access token was refused: consent as the owner of this mailbox (`mailcollector oauth2`), with the "
    "scope that mail needs, and correct source.username where that is another one"
)


class LoginRefusal(Struct, frozen=True):
    """`understood`: the server knows this way, and does not let us in; else another one may do."""

    error: SourceError
    understood: bool = True

    @property
    def final(self) -> bool:
        """No other way would help."""
        if self.understood:
            return not isinstance(self.error, AuthenticationFailed)
        return not isinstance(self.error, (AuthenticationFailed, SourceUnsuitable))

    @property
    def certain(self) -> bool:
        return (
            self.understood and isinstance(self.error, AuthenticationFailed) and self.error.certain
        )


class LoginBroken(ConnectionFailed):
    """The connection ended while the first of several ways was tried: perhaps the server does not
    stand it. Whoever connects again begins with another one."""


class LoginMethod(Struct, frozen=True):
    """`attempt` gives None when we are logged in, and raises what ends the session."""

    name: str
    attempt: Callable[[], LoginRefusal | None]


def climb_down(
    ways: Sequence[LoginMethod],
    habits: AccountMemory,
    credentials: Credentials,
    gone: tuple[type[Exception], ...] = (),
) -> None:
    """Log in by the first of `ways` that works; strongest first. `gone`: what else than
    `ConnectionFailed` is raised when the server hangs up. Raises the error of the refusal that
    tells most."""
    refused: list[LoginRefusal] = []
    tried: list[str] = []
    secret = hash(credentials.secret)
    waiting = _order(ways, habits, secret)
    broken: tuple[type[Exception], ...] = (ConnectionFailed, *gone)
    while waiting:
        way = waiting.pop(0)
        try:
            refusal = way.attempt()
        except broken as failure:
            habits.where_it_broke |= {way.name}
            if not refused and waiting and isinstance(failure, ConnectionFailed):
                raise LoginBroken(str(failure)) from failure
            if not refused:
                raise
            break  # it hangs up on the second try
        if refusal is None:
            habits.way, habits.tried, habits.tried_with = way.name, frozenset(), 0
            habits.where_it_broke = frozenset()
            return
        tried.append(way.name)
        refused.append(refusal)
        if refusal.final:
            break
        if refusal.understood and (credentials.token or way.name == habits.way):
            break
        if refusal.certain:
            waiting = waiting[-1:] if sum(each.certain for each in refused) < _BELIEVED else []
    _remember(habits, secret, tried, final=refused[-1].final)
    error = next(
        (each.error for each in refused if each.final or each.understood), refused[-1].error
    )
    raise (
        _about_token(error)
        if credentials.token and isinstance(error, AuthenticationFailed)
        else error
    )


def _about_token(error: AuthenticationFailed) -> AuthenticationFailed:
    """There is no password that could be corrected."""
    told = str(error).removesuffix(error.advice).rstrip(". ")
    return AuthenticationFailed(
        f"{told}. {_CONSENT}", certain=error.certain, retry_after=error.retry_after, advice=_CONSENT
    )


def _order(ways: Sequence[LoginMethod], habits: AccountMemory, secret: int) -> list[LoginMethod]:
    """What worked last comes first, that with which the connection ended comes last. Where all were
    refused with this very secret, the first alone is tried again."""
    if any(way.name == habits.way for way in ways):
        return sorted(ways, key=lambda way: way.name != habits.way)
    if habits.tried_with != secret:
        if all(way.name in habits.where_it_broke for way in ways):
            habits.where_it_broke = frozenset()
        return sorted(ways, key=lambda way: way.name in habits.where_it_broke)
    return [way for way in ways if way.name not in habits.tried] or list(ways[:1])


def _remember(habits: AccountMemory, secret: int, tried: Sequence[str], *, final: bool) -> None:
    habits.way = habits.way if final else ""
    if not final:
        before = habits.tried if habits.tried_with == secret else frozenset()
        habits.tried, habits.tried_with = before | frozenset(tried), secret
