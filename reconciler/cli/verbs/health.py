"""`mailcollector health`."""

from __future__ import annotations

import os
import re
import socket
import time

import click

from reconciler.cli.collectors import DaemonUnreachable
from reconciler.cli.common_options import common_options
from reconciler.cli.connect import connect_to_daemon, state_directory
from reconciler.cli.verb import print_error, verb
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

_DEADLINE = 8.0
"""Seconds for all of it: container engines give up after ten."""
_MOST = 4096
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@verb(
    "health",
    examples=[
        ("mailcollector health", "asks the daemon over ./state"),
        ("mailcollector health --state-dir /var/lib/mailcollector", "asks the one over that state"),
    ],
    exits={
        0: "the daemon's control loop moves",
        1: "it does not, or no daemon answers",
        2: "usage",
    },
)
@common_options(manifests=False, uses={"--state-dir"})
def command(settings: Settings) -> int:
    """Asks the running daemon whether its control loop still runs, and waits 8 seconds at most.
    Meant for containers and supervisors. A mailbox that fails, or an invalid manifest, does not
    make a daemon unhealthy. Neither the manifests nor the ledger are read."""
    status, body = _answer(settings, time.monotonic() + _DEADLINE)
    if status != 200:
        print_error(
            f"the daemon over {settings.state_dir} is not well: {body or f'HTTP status {status}'}"
        )
        return 1
    click.echo(escape(body) or "ok")
    return 0


def _answer(settings: Settings, deadline: float) -> tuple[int, str]:
    """Return the status of the daemon's answer, and the first line of its body. Raises
    DaemonUnreachable."""
    directory = state_directory(settings.state_dir)
    if directory is None:
        raise DaemonUnreachable(f"no daemon runs over {settings.state_dir}, which does not exist")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_left(deadline))
            if not connect_to_daemon(connection, settings, directory):
                raise DaemonUnreachable(
                    f"no daemon runs over {settings.state_dir}: nobody listens on "
                    f"{settings.control_socket.name} there"
                )
            text = _response(connection, deadline).decode("utf-8", "replace")
    except OSError as error:
        why = (
            f" within {_DEADLINE:g} seconds"
            if isinstance(error, TimeoutError)
            else f": {error.strerror}"
        )
        raise DaemonUnreachable(
            f"the daemon at {settings.control_socket} does not answer{why}"
        ) from error
    finally:
        os.close(directory)
    head, _, body = text.partition("\r\n\r\n")
    status = re.match(r"HTTP/1\.[01] ([1-5]\d\d)\b", head)
    if status is None:
        raise DaemonUnreachable(f"what answers at {settings.control_socket} does not speak HTTP")
    return int(status[1]), body.strip().partition("\n")[0]


def _response(connection: socket.socket, deadline: float) -> bytes:
    connection.sendall(_REQUEST)
    answer = b""
    while len(answer) < _MOST:
        connection.settimeout(_left(deadline))
        more = connection.recv(_MOST - len(answer))
        if not more:
            break
        answer += more
    return answer


def _left(deadline: float) -> float:
    """Return the seconds until the deadline. Raises TimeoutError where it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
