"""A process with the whole program loaded, which lives through one run of it after another in
children that may die: a fork costs a few milliseconds, a fresh interpreter most of a second.

`python -m tests.crashes.nursery` reads a life's JSON from each line of its input and answers with
its exit status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.crashes.edge import Death, Edge

KILLED = -9


class Nursery:
    """`with Nursery() as nursery:`; `live` runs `mailcollector` once."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # the end of its input ends it

    def live(
        self, arguments: Sequence[str], log: Path, death: Death | None = None
    ) -> tuple[int, Counter[str]]:
        """The exit status, -9 for killed, and how many steps of each kind there were if it was
        not."""
        steps = log.with_suffix(".steps")
        request = {
            "arguments": list(arguments),
            "log": str(log),
            "steps": str(steps),
            "death": death and asdict(death),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return status, Counter(json.loads(steps.read_text()) if status != KILLED else {})


def _serve() -> None:
    for module in (
        "app.run_command",
        "cli.verbs.run",
        "cli.log_output",
        "sources.imap",
        "sources.pop3",
    ):
        import_module(f"reconciler.{module}")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _live(request: dict[str, Any]) -> None:
    """One run of the program; never returns."""
    from reconciler import cli  # noqa: PLC0415

    write = os.write  # not the one that is counted
    steps = os.open(request["steps"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    death = request["death"]
    edge = Edge(Death(**death) if death else None)
    edge.install()
    sys.argv = ["mailcollector", *request["arguments"]]
    code = 70
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    finally:
        write(steps, json.dumps(edge.steps).encode())
        os._exit(code)


if __name__ == "__main__":
    _serve()
