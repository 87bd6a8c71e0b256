"""Look up host names without holding a session longer than it may take (hazard R3).

getaddrinfo cannot be interrupted, so it runs in a thread, which is left behind when it hangs.
Lookups of the same name share one thread: a dead resolver costs one thread for each name, not one
for each session.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from msgspec import Struct

from reconciler.model.errors import ConnectionFailed, PolicyRefused
from reconciler.model.manifest_policy import allowed
from reconciler.wire.confined_files import require_within
from reconciler.wire.endpoint import Endpoint


class SocketAddress(Struct, frozen=True):
    """What a socket connects to: an address family (socket.AF_…) and its kind of address."""

    family: int
    sockaddr: tuple[Any, ...] | str


_pending: dict[tuple[str, int], Future[list[SocketAddress]]] = {}
_lock = threading.Lock()


def look_up(endpoint: Endpoint, within: float, cancelled: Future[None]) -> list[SocketAddress]:
    """Return the server's addresses in the resolver's order.

    Gives up after `within` seconds or when `cancelled` is done. Raises `ConnectionFailed`.
    """
    if endpoint.path is not None:
        return [SocketAddress(socket.AF_UNIX, endpoint.path)]
    if endpoint.address is not None:
        return _resolved(endpoint, _getaddrinfo, endpoint.address, endpoint.port)
    lookup = _started(endpoint)
    waited_for: list[Future[Any]] = [lookup, cancelled]
    wait(waited_for, within, FIRST_COMPLETED)
    if cancelled.done():
        raise ConnectionFailed(f"{endpoint}: the session was aborted")
    if not lookup.done():
        raise ConnectionFailed(
            f"{endpoint}: the name was not resolved within {within:.0f} s. Is the resolver alive?"
        )
    return _resolved(endpoint, lookup.result)


def allowed_by_policy(endpoint: Endpoint, found: list[SocketAddress]) -> list[SocketAddress]:
    """Return those of `found` that the policy allows to connect to.

    Raises `PolicyRefused` where it allows none.
    """
    policy = allowed()
    if endpoint.path is not None:
        require_within(endpoint.path, policy.sockets, "socket")
        return found
    if policy.hosts(endpoint.role) is None:
        return found
    host = endpoint.ascii_host
    allowed_ones = [
        one for one in found if policy.connection(endpoint.role, host, str(one.sockaddr[0]))
    ]
    if not allowed_ones:
        at = ", ".join(dict.fromkeys(str(one.sockaddr[0]) for one in found))
        raise PolicyRefused(
            f"{endpoint}: the policy does not allow to connect to it ({at}) as one of the "
            f"{endpoint.role}"
        )
    return allowed_ones


def _resolved(endpoint: Endpoint, resolve: Any, *arguments: Any) -> list[SocketAddress]:
    try:
        found: list[SocketAddress] = resolve(*arguments)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConnectionFailed(f"{endpoint}: the name cannot be resolved: {reason}") from error
    return found


def _started(endpoint: Endpoint) -> Future[list[SocketAddress]]:
    """Return the lookup of this name that is under way, or begin one."""
    key = (endpoint.ascii_host, endpoint.port)
    with _lock:
        if key in _pending:
            return _pending[key]
        lookup: Future[list[SocketAddress]] = Future()
        try:
            threading.Thread(
                target=_resolve_name, args=(key, lookup), name=f"lookup {key[0]}", daemon=True
            ).start()
        except RuntimeError as error:  # no more threads (hazard R1)
            raise ConnectionFailed(f"{endpoint}: no thread for the name lookup: {error}") from error
        _pending[key] = lookup
        return lookup


def _resolve_name(key: tuple[str, int], lookup: Future[list[SocketAddress]]) -> None:
    try:
        lookup.set_result(_getaddrinfo(*key))
    except (OSError, UnicodeError) as error:
        lookup.set_exception(error)
    finally:
        with _lock:
            _pending.pop(key, None)


def _getaddrinfo(host: str, port: int) -> list[SocketAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [SocketAddress(family, sockaddr) for family, _, _, _, sockaddr in found]
