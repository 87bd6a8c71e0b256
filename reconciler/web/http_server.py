"""Serve the API: on the control socket, and on a loopback address if one is configured."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from starlette.types import ASGIApp

from reconciler.control.control_service import ControlService
from reconciler.disk import obstacle
from reconciler.model.domains import is_loopback
from reconciler.model.errors import CollectorError
from reconciler.model.settings import Listen, Settings
from reconciler.web.access.access_guard import AccessGuard
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.access.request_limit import RequestLimit
from reconciler.web.access.token_file import TokenFile
from reconciler.web.api.service_resources import DaemonPaths
from reconciler.web.application import application, trusted
from reconciler.web.http_connections import HttpServer
from reconciler.web.refusal_pages import RefusalPages

SOCKET = "control.sock"
_CLIENTS = 256
"""Connections at once on TCP; on the socket `collect --wait` has one for each session besides."""
_FOR_PROBES = 16
"""Connections of each that are kept free of event streams."""


class ListenRefused(CollectorError):
    """The API cannot, or must not, be served at the configured address."""

    reason = "ListenRefused"


@asynccontextmanager
async def served(
    control: ControlService, settings: Settings, manifests: Path
) -> AsyncIterator[None]:
    """Serve on the control socket and on `settings.listen` inside this context. The caller owns the
    state directory. Raises ListenRefused."""
    rules = AccessRules.of(settings)
    app = application(control, _paths(settings, manifests), rules)
    listen = settings.listen
    async with AsyncExitStack() as stack:
        control_socket = stack.enter_context(_control_socket(settings.state_dir))
        for_sessions = _CLIENTS + 4 * settings.max_sessions
        await stack.enter_async_context(
            _served(_limited(trusted(app), for_sessions), control_socket, for_sessions)
        )
        if listen is not None:
            _require_fit(settings, listen, rules.tokens)
            tcp = stack.enter_context(_tcp_socket(listen))
            guarded = RefusalPages(_limited(AccessGuard(app, rules), _CLIENTS), app.router.default)
            await stack.enter_async_context(_served(guarded, tcp, _CLIENTS))
        yield


def _paths(settings: Settings, manifests: Path) -> DaemonPaths:
    listen = settings.listen
    return DaemonPaths(
        manifests,
        settings.state_dir,
        settings.metrics,
        settings.token_file,
        settings.page_address if listen else "",
    )


@contextmanager
def _control_socket(state_dir: Path) -> Iterator[socket.socket]:
    """Bind the control socket through the directory's descriptor: its path may be longer than the
    108 bytes of `sockaddr_un`."""
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            _remove_stale(directory)
            os.fchmod(
                listener.fileno(), 0o600
            )  # Linux gives the file this mode when it is bound: it is never wider
            listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        except OSError as error:
            path = state_dir / SOCKET
            trouble = error.strerror
            if isinstance(error, FileExistsError) or error.errno == errno.EADDRINUSE:
                trouble = f"{obstacle(path) or 'a file'} is in its place; remove it"
            raise ListenRefused(f"the control socket {path} cannot be made: {trouble}") from error
        try:
            yield listener
        finally:
            with suppress(OSError):  # it is gone, or the disk is: the next daemon removes it
                os.unlink(SOCKET, dir_fd=directory)
    finally:
        listener.close()
        os.close(directory)


def _remove_stale(directory: int) -> None:
    """Remove a socket that a crashed daemon left. Nobody can listen on it, because this process
    owns the state directory."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(SOCKET, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(SOCKET, dir_fd=directory)


def _require_fit(settings: Settings, listen: Listen, tokens: TokenFile) -> None:
    """Raise ListenRefused where the API would be open to other machines without a token, or
    without TLS in front of it."""
    if is_loopback(listen.host):
        return
    where = f"--listen {listen.host}"
    if not settings.public_url.startswith("https://"):
        raise ListenRefused(
            f"{where}: beyond loopback the API wants TLS in front of it: name the proxy's address "
            "with --public-url https://HOST, or listen on 127.0.0.1"
        )
    if not (tokens.tokens() or settings.trusted_proxies):
        raise ListenRefused(
            f"{where}: beyond loopback the API does not start without a token, and there is none "
            f"in {tokens.path}: make one with `mailcollector token create --role edit --name NAME`"
        )


@contextmanager
def _tcp_socket(listen: Listen) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        listener = socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise ListenRefused(f"--listen {listen.host}:{listen.port}: {error.strerror}") from error
    with listener:
        yield listener


def _limited(app: ASGIApp, most: int) -> ASGIApp:
    return RequestLimit(app, most - _FOR_PROBES)


@asynccontextmanager
async def _served(app: ASGIApp, listener: socket.socket, most: int) -> AsyncIterator[None]:
    server = HttpServer(app, most)
    task = asyncio.create_task(server.serve([listener]), name="API")
    try:
        while not (server.started or task.done()):  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.001)
        if task.done():
            raise ListenRefused("the API could not be started") from task.exception()
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
