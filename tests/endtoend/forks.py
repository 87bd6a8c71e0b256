"""The command without the time that an interpreter takes to start: a process that has imported the
whole program, and forks for each command. What is run is a process of its own all the same.

`python -m tests.endtoend.forks` tells the name of a socket. A command's JSON with its output
streams goes in there, its exit status comes out. It ends with its own input.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from reconciler import cli

ROOT = Path(__file__).parents[2]
_REQUEST = 1 << 17


def run(
    arguments: Sequence[str], directory: Path, patience: float
) -> subprocess.CompletedProcess[str]:
    """`mailcollector ARGUMENTS` in a directory, with this process's environment. SIGALRM ends it
    after `patience` seconds."""
    request = {
        "arguments": list(arguments),
        "directory": str(directory),
        "environment": dict(os.environ),
        "patience": patience,
    }
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST)
        connection.connect(_server()[1])
        socket.send_fds(connection, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        status = connection.recv(64)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            ["mailcollector", *arguments], int(status), out.read().decode(), err.read().decode()
        )


@functools.cache
def _server() -> tuple[subprocess.Popen[bytes], bytes]:
    """Started once for a process, and the name that it listens at."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.endtoend.forks"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    atexit.register(_end, process, os.getpid())
    return process, bytes.fromhex(process.stdout.readline().decode())


def _end(process: subprocess.Popen[bytes], starter: int) -> None:
    if os.getpid() == starter:  # and no fork of it
        process.communicate()


def _serve() -> socket.socket:
    """Returns in the child that is to run a command: with the connection that it came by."""
    for module in (
        "app.run_command",
        "app.without_daemon",
        "cli.verbs.run",
        "cli.verbs.get",
        "cli.verbs.describe",
        "cli.verbs.collect",
        "cli.verbs.check",
        "sources.imap",
        "sources.pop3",
    ):
        import_module(f"reconciler.{module}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind("")  # the kernel finds a name
        listening.listen(64)
        print(listening.getsockname().hex(), flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return connection
            connection.close()
    raise SystemExit


def _lead(connection: socket.socket) -> None:
    """Returns in the process that is to be the command; tells how that ended."""
    message, streams, _, _ = socket.recv_fds(connection, _REQUEST, 2)
    life = os.fork()
    if life:
        _, status = os.waitpid(life, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    request = json.loads(message)
    for target, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *streams]):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["mailcollector", *request["arguments"]]
    signal.alarm(int(request["patience"]))


if __name__ == "__main__":
    _lead(_serve())
    cli.main()
