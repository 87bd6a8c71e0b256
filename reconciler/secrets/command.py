"""Secrets that a program prints: password managers, vaults."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress

from reconciler.model.errors import SecretUnavailable

TIMEOUT = 30.0
"""Seconds."""


def output(command: Sequence[str], limit: int) -> bytes:
    """What it prints, at most `limit` + 1 octets. No shell is between.

    What it says on its standard error is not taken, for it may be the secret. Raises SecretUnavailable where it cannot
    be started, fails, or does not end in time: then it is killed with all that it has started.
    """
    try:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
    except OSError as error:
        raise SecretUnavailable(f"cannot start {command[0]} for the secret: {error.strerror}; give its whole path, and "
                                "let the user that runs mailcollector execute it") from error
    late = threading.Event()
    timer = threading.Timer(TIMEOUT, _end, (running, late))
    timer.start()
    with running:
        assert running.stdout is not None  # noqa: S101  # it was asked for
        printed = running.stdout.read(limit + 1)
        if len(printed) > limit:
            _kill(running)
        code = running.wait()
        timer.cancel()
    if late.is_set():
        raise SecretUnavailable(f"{command[0]} did not print the secret within {TIMEOUT:g} seconds; run it by hand, as "
                                "the user that runs mailcollector")
    if code and len(printed) <= limit:
        raise SecretUnavailable(f"{command[0]} ended with {_told(code)} and gave no secret; run it by hand, as the "
                                "user that runs mailcollector, to see what it says")
    return printed


def _end(running: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill(running)


def _kill(running: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)


def _told(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"
