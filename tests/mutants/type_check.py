"""Whether mypy, which `make check` runs on every commit, refuses a change that no test noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Lock

from tests.mutants.checkout_copy import made
from tests.mutants.mutations import Mutation

_one_at_a_time = Lock()
"""Two runs of mypy would write the same cache."""


def type_error(mutation: Mutation, checkout: Path, cache: Path) -> str:
    """Return the first error that mypy reports in the changed module, "" where it reports none.

    The change is made in `checkout`, a copy that nobody else reads meanwhile."""
    path = mutation.path
    command = [sys.executable, "-m", "mypy", "--no-error-summary", f"--cache-dir={cache}", path]
    with _one_at_a_time, made(mutation, checkout):
        told = subprocess.run(command, cwd=checkout, text=True, capture_output=True, check=False)
    if told.returncode not in (0, 1):
        raise SystemExit(f"mypy does not run: {told.stdout}{told.stderr}")
    errors = [line for line in told.stdout.splitlines() if line.startswith(f"{path}:")]
    return errors[0] if errors else ""
