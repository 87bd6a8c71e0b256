"""Choose how a verb reaches the collectors: through the running daemon, or from disk if none
runs."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.collectors import Collectors, DaemonUnreachable
from reconciler.cli.readable_text import print_message
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:  # pydantic is slow to import, and no verb's --help needs it
    from reconciler.cli.daemon_client import DaemonClient

MANIFESTS = Path("collectors.d")
"""The manifests' directory if no option names one and no daemon runs."""


def open_collectors(settings: Settings) -> Collectors:
    """Return the daemon that owns the state directory, or else the manifests and the ledger."""
    daemon = running_daemon(settings)
    if daemon is not None:
        return daemon
    directory = directory_on_disk(settings)
    # the whole of the daemon, only where none runs
    from reconciler.cli.offline_collectors import OfflineCollectors  # noqa: PLC0415

    return OfflineCollectors(settings, directory)


def warn_without_daemon(settings: Settings, collectors: Collectors) -> None:
    """Say that no daemon runs: with a wrong --state-dir, collectors look as if they were never
    started."""
    if not collectors.is_daemon:
        missing = "" if settings.state_dir.is_dir() else ", which does not exist"
        print_message(
            f"mailcollector: no daemon runs over {escape(str(settings.state_dir))}{missing}: "
            "this is what the "
            "manifests and the ledger say"
        )


def manifests_directory(settings: Settings) -> Path:
    """Return the manifests that a verb reads itself: those of --manifests, or the running daemon's,
    or ./collectors.d."""
    if settings.manifests is None and (daemon := running_daemon(settings)) is not None:
        with daemon:
            return daemon.manifests()
    return directory_on_disk(settings)


@contextlib.contextmanager
def manifests_to_write(settings: Settings) -> Iterator[Path]:
    """Give the same directory to a verb that adds to it. If it does not exist it is made, and
    removed again if the verb fails."""
    if (daemon := running_daemon(settings)) is not None:
        with daemon:
            running = daemon.manifests()
        yield settings.manifests or running
        return
    directory = settings.manifests or MANIFESTS
    if directory.exists():
        yield directory
        return
    directory.mkdir(parents=True)
    try:
        yield directory
    except BaseException:
        with contextlib.suppress(OSError):  # something else was put there meanwhile
            directory.rmdir()
        raise


def directory_on_disk(settings: Settings) -> Path:
    """Return the manifests of --manifests or ./collectors.d. Raises click.UsageError if that is no
    directory."""
    directory = settings.manifests or MANIFESTS
    if not directory.is_dir():
        raise click.UsageError(
            f"no daemon runs over {settings.state_dir}, and {directory} is no directory: name the "
            "manifests' directory with --manifests, or the daemon's with --state-dir"
        )
    return directory


def running_daemon(settings: Settings) -> DaemonClient | None:
    """Return the daemon that owns the state directory, or None."""
    descriptor = state_directory(settings.state_dir)
    if descriptor is None:
        return None
    if not _listens(settings, descriptor):
        os.close(descriptor)
        return None
    from reconciler.cli.daemon_client import DaemonClient  # noqa: PLC0415  # httpx, only where somebody answers

    with contextlib.ExitStack() as opened:
        daemon = opened.enter_context(DaemonClient(settings, descriptor))
        _require_same_manifests(settings, daemon)
        opened.pop_all()  # it stays open for the verb
    return daemon


def state_directory(path: Path) -> int | None:
    """Open the state directory; None if there is none. Below /proc/self/fd/N/ the socket's path is
    short enough for `sockaddr_un`."""
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _listens(settings: Settings, directory: int) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        return connect_to_daemon(probe, settings, directory)


def connect_to_daemon(connection: socket.socket, settings: Settings, directory: int) -> bool:
    """Connect to the daemon that owns the state directory, within the timeout of `connection`.
    Return whether there is one. Raises DaemonUnreachable."""
    try:
        _connect(connection, f"/proc/self/fd/{directory}/{settings.control_socket.name}")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except PermissionError:
        raise DaemonUnreachable(
            f"no permission to use {settings.control_socket}: "
            "only the user that runs the daemon, and root, may"
        ) from None
    except OSError as error:
        raise DaemonUnreachable(
            f"the daemon at {settings.control_socket} does not answer: {error}"
        ) from error
    return True


def _connect(connection: socket.socket, path: str) -> None:
    """Connect; try again while the queue of the socket is full. A socket with a timeout is refused
    at once then: unix(7), EAGAIN."""
    deadline = time.monotonic() + (connection.gettimeout() or 0)
    while True:
        try:
            connection.connect(path)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _require_same_manifests(settings: Settings, daemon: DaemonClient) -> None:
    if settings.manifests is None:
        return
    running = daemon.manifests()
    if (
        settings.manifests.absolute() != running.absolute()
        and settings.manifests.resolve() != running.resolve()
    ):
        raise click.UsageError(
            f"the daemon over {settings.state_dir} runs {running}, not {settings.manifests}: leave "
            "--manifests out, or name another --state-dir"
        )
