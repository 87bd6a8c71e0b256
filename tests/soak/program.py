"""The daemon under test, started again whenever it ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.endtoend.deployment import Deployment


class Program:
    """Its log is kept outside of the disks that fail."""

    def __init__(self, deployment: Deployment, log: Path, environment: Mapping[str, str]) -> None:
        self._deployment = deployment
        self._environment = {**os.environ, **environment}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended: list[int] = []
        """How it ended by itself: exit codes."""
        self.peak = 0
        """Resident memory at most, in KiB."""

    def ensure_running(self) -> int:
        """Its process id."""
        if self._process is not None and self._process.poll() is not None:
            self.ended.append(self._process.returncode)
            self.note(f"it had ended with {self._process.returncode}")
            self._process = None
        if self._process is None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._deployment.command("run", str(self._deployment.manifests)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.log.parent,
                    env=self._environment,
                )
        return self._process.pid

    def await_ready(self) -> None:
        """Until it answers on its socket: from then on it knows what SIGTERM means."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.ensure_running()
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(str(self._deployment.state / "control.sock"))
                return
            time.sleep(0.05)
        raise AssertionError(f"the daemon does not come up:\n{self.log.read_text()[-3000:]}")

    def note(self, fault: str) -> None:
        """Into the log, between its own lines."""
        with self.log.open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} fault: {fault}\n")

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """With SIGKILL."""
        if self._process is not None:
            self._note_memory(self._process.pid)
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """With SIGTERM; its exit code."""
        assert self._process is not None
        self._note_memory(self._process.pid)
        process, self._process = self._process, None
        process.terminate()
        return process.wait(60)

    def second(self) -> int:
        """Another one over the same state directory; its exit code."""
        return subprocess.run(
            self._deployment.command("run", str(self._deployment.manifests)),
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.log.parent,
        ).returncode

    def _note_memory(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
                self.peak = max(self.peak, int(found[1]))
