"""The same walk from outside: strace kills the program at the N-th call of a kind. Nothing of ours
is in it."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.crashes.edge import Death
from tests.crashes.nursery import KILLED, Nursery
from tests.crashes.scene import Combination, Scene, Tally
from tests.servers.dovecot import Dovecot

CALLS = {
    "fsync": 1,
    "fdatasync": 2,
    "linkat": 1,
    "unlinkat": 1,
    "renameat": 2,
    "mkdirat": 2,
    "sendto": 1,
    "pwrite64": 11,
}
"""System calls that change something outside; of the frequent ones, every so many-th."""
_numbers = itertools.count(10_001)


def walk_with_strace(
    combination: Combination, calls: Mapping[str, int], dovecot: Dovecot, nursery: Nursery
) -> Tally:
    """Kill it before a call of each kind, counted for each thread as strace does, until the program
    survives."""
    tally = Tally()
    for call, step in calls.items():
        for number in itertools.count(1, step):
            with tempfile.TemporaryDirectory() as directory:
                scene = Scene(Path(directory, "life"), dovecot, combination, next(_numbers))
                killed = _killed(scene, call, number)
                scene.revive(lambda scene=scene: scene.live(nursery)[0])  # type: ignore[misc]
                scene.check_ledger()
                tally.add(Death(call, number, "before"), killed, *scene.verdict())
            if not killed:
                break
    return tally


def _killed(scene: Scene, call: str, number: int) -> bool:
    """Not with --seccomp-bpf: strace 6.1 does not count `when` right then."""
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "signal=none",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=SIGKILL:when={number}",
        *scene.deployment.command("run", str(scene.deployment.manifests), "--once"),
    ]
    with (scene.deployment.root / "log").open("ab") as log:
        try:
            done = subprocess.run(
                command, check=False, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=120
            )
        except FileNotFoundError as error:
            raise RuntimeError(
                "killing the program from outside needs strace: apt-get install strace "
                "(`make test` does that)"
            ) from error
    return done.returncode == KILLED
