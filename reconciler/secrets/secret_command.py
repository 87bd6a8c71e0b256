"""Secrets that a program prints, such as a password manager."""

from __future__ import annotations

import fnmatch
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from reconciler.model.errors import SecretUnavailable
from reconciler.model.manifest_policy import allowed

TIMEOUT = 30.0
"""Seconds that a program may take."""
PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "XDG_*",
    "CREDENTIALS_DIRECTORY",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""Variables of our environment that a program gets. `*` stands for any ending. A policy may name
more."""
_POLL = 0.05
"""Seconds between two checks of whether the program has ended."""


def run_command(command: Sequence[str], limit: int, cancelled: Future[None] | None = None) -> bytes:
    """Run a program without a shell, and return what it prints: at most `limit` + 1 octets.

    Of our environment it gets `PASSED_ON`. Its standard error is not read, for it may hold the
    secret. Once it has ended and printed something, the programs that it has started are not waited
    for. When `cancelled` is done, nothing is waited for.

    Raises SecretUnavailable where it cannot be started, fails, or does not end in time. Then it is
    killed with all programs that it has started.
    """
    deadline = time.monotonic() + TIMEOUT
    try:
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(os.environ),
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise SecretUnavailable(
            f"cannot start {command[0]} for the secret: {reason}; give its whole path, and "
            "let the user that runs mailcollector execute it"
        ) from error
    ended = False
    try:
        printed = _printed(running, limit, deadline, cancelled)
        given_up = cancelled is not None and cancelled.done()
        with suppress(subprocess.TimeoutExpired):
            running.wait(
                0 if given_up or len(printed) > limit else max(0.0, deadline - time.monotonic())
            )
            ended = True
    finally:
        if not ended:
            _kill(running)
        if running.stdout is not None:
            running.stdout.close()
    if len(printed) > limit:
        return printed
    if given_up and not ended:
        raise SecretUnavailable(f"{command[0]} was not waited for, as the session was given up")
    if not ended:
        raise SecretUnavailable(
            f"{command[0]} did not print the secret within {TIMEOUT:g} seconds; run it by hand, as "
            "the user that runs mailcollector"
        )
    if code := running.returncode:
        raise SecretUnavailable(
            f"{command[0]} ended with {_ending(code)} and gave no secret; run it by hand, as the "
            "user that runs mailcollector, to see what it says"
        )
    return printed


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the part of our environment that a program gets: nothing that was meant for us
    alone."""
    patterns = (*PASSED_ON, *allowed().variables_passed_on)
    return {
        name: value
        for name, value in ours.items()
        if not name.startswith("MAILCOLLECTOR_")
        and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def _printed(
    running: subprocess.Popen[bytes], limit: int, deadline: float, cancelled: Future[None] | None
) -> bytes:
    """Read until the program ends, the deadline passes, more than `limit` octets have come, or
    `cancelled` is done."""
    assert running.stdout is not None  # noqa: S101  # it was asked for
    descriptor = running.stdout.fileno()
    os.set_blocking(descriptor, False)
    printed = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and len(printed) <= limit:
            if cancelled is not None and cancelled.done():
                break
            # Checked before the pipe: what the program printed is in the pipe by then.
            over = running.poll() is not None
            if selector.select(min(_POLL, left)):
                chunk = os.read(descriptor, limit + 1 - len(printed))
                if not chunk:
                    break
                printed += chunk
            elif over and printed:
                break  # a program that it has started keeps the pipe open
    return printed


def _kill(running: subprocess.Popen[bytes]) -> None:
    """Kill it with its process group. Where even that does not end it, it is left running."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        running.wait(5)


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"
