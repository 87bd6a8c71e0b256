"""Try several login methods with the same credentials, once each, as one attempt.

Servers offer methods that do not work for an account. For example, the server lacks the mechanism's
hash, or a proxy does not understand the command. The meaning of an answer decides whether the next
method is tried: a command that was not understood is no refused password. If a server names the
credentials as the reason, only the plainest method is tried after that. So repeated logins lock no
account. What worked is remembered (`account_memory`), so that the next login takes one try.
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
"""Refusals that name the credentials, after which the server is believed."""
_CONSENT = (
    "The access token was refused: consent as the owner of this mailbox (`mailcollector oauth2`), "
    "with the scope that mail needs, and correct source.username where that is another one"
)


class LoginRefusal(Struct, frozen=True):
    """A login that the server refused.

    `understood`: the server knows the method and does not let us in. Otherwise it may be the method
    that it refuses, and another one may work.
    """

    error: SourceError
    understood: bool = True

    @property
    def final(self) -> bool:
        """Whether no other method would help."""
        if self.understood:
            return not isinstance(self.error, AuthenticationFailed)
        return not isinstance(self.error, (AuthenticationFailed, SourceUnsuitable))

    @property
    def certain(self) -> bool:
        """Whether the server named the credentials as the reason."""
        return (
            self.understood and isinstance(self.error, AuthenticationFailed) and self.error.certain
        )


class LoginBroken(ConnectionFailed):
    """The connection ended during the first of several login methods.

    The server may not be able to handle that method: the next connection begins with another one.
    """


class LoginMethod(Struct, frozen=True):
    """One way of logging in.

    `attempt` returns None when the login worked, and raises what ends the session.
    """

    name: str
    attempt: Callable[[], LoginRefusal | None]


def try_methods(
    methods: Sequence[LoginMethod],
    memory: AccountMemory,
    credentials: Credentials,
    gone: tuple[type[Exception], ...] = (),
) -> None:
    """Log in by the first of `methods` that works; they are given strongest first.

    `gone` are the errors, besides `ConnectionFailed`, that mean that the server hung up. Raises
    `LoginBroken`, what an attempt raises, or the error of the refusal that tells most.
    """
    refused: list[LoginRefusal] = []
    tried: list[str] = []
    secret = hash(credentials.secret)
    waiting = _in_order(methods, memory, secret)
    broken: tuple[type[Exception], ...] = (ConnectionFailed, *gone)
    while waiting:
        method = waiting.pop(0)
        try:
            refusal = method.attempt()
        except broken as failure:
            memory.methods_that_broke |= {method.name}
            if not refused and waiting and isinstance(failure, ConnectionFailed):
                raise LoginBroken(str(failure)) from failure
            if not refused:
                raise
            break  # it hangs up on the second try
        if refusal is None:
            memory.working_method, memory.methods_that_broke = method.name, frozenset()
            memory.refused_methods, memory.refused_secret = frozenset(), 0
            return
        tried.append(method.name)
        refused.append(refusal)
        if refusal.final:
            break
        if refusal.understood and (credentials.token or method.name == memory.working_method):
            break
        if refusal.certain:
            waiting = waiting[-1:] if sum(each.certain for each in refused) < _BELIEVED else []
    _remember(memory, secret, tried, final=refused[-1].final)
    raise _most_telling(refused, credentials)


def _in_order(
    methods: Sequence[LoginMethod], memory: AccountMemory, secret: int
) -> list[LoginMethod]:
    """Put what worked last first, and methods during which the connection ended last.

    Where this very secret was refused before, only the methods not yet tried with it remain; where
    all were, only the first is tried again.
    """
    if any(method.name == memory.working_method for method in methods):
        return sorted(methods, key=lambda method: method.name != memory.working_method)
    if memory.refused_secret != secret:
        if all(method.name in memory.methods_that_broke for method in methods):
            memory.methods_that_broke = frozenset()
        return sorted(methods, key=lambda method: method.name in memory.methods_that_broke)
    untried = [method for method in methods if method.name not in memory.refused_methods]
    return untried or list(methods[:1])


def _remember(memory: AccountMemory, secret: int, tried: Sequence[str], *, final: bool) -> None:
    """Remember the refused methods. A final refusal says nothing about them."""
    if final:
        return
    memory.working_method = ""
    before = memory.refused_methods if memory.refused_secret == secret else frozenset()
    memory.refused_methods, memory.refused_secret = before | frozenset(tried), secret


def _most_telling(refused: Sequence[LoginRefusal], credentials: Credentials) -> SourceError:
    telling = (each.error for each in refused if each.final or each.understood)
    error = next(telling, refused[-1].error)
    if credentials.token and isinstance(error, AuthenticationFailed):
        return _token_refused(error)
    return error


def _token_refused(error: AuthenticationFailed) -> AuthenticationFailed:
    """Replace the advice: with a token there is no password to be corrected."""
    text = str(error).removesuffix(error.advice).rstrip(". ")
    return AuthenticationFailed(
        f"{text}. {_CONSENT}", certain=error.certain, retry_after=error.retry_after, advice=_CONSENT
    )
