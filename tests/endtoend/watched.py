"""A daemon over manifests that change, where mail does not matter: nobody listens where its
collectors connect to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

PATIENCE = 60.0
LABEL = "watched=yes"
T = TypeVar("T")

Wanted = Mapping[str, str]
"""The interval of each collector that shall run, by name."""


def manifest(
    name: str, interval: str = "1h", *, enabled: bool = True, password: str = "{env: PATH}"
) -> str:
    labels = "{watched: yes-no}" if not enabled else "{watched: 'yes'}"
    return f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}, labels: {labels}}}
spec:
  enabled: {str(enabled).lower()}
  source: {{protocol: imap, host: 127.0.0.1, port: 1, tls: none,
    username: {name}, password: {password}}}
  collect: {{interval: {interval}}}
  recipient: {{forwardTo: {name}@example.net}}
"""


def files(wanted: Wanted) -> dict[str, str]:
    """Manifest files, one for each collector."""
    return {f"{name}.yaml": manifest(name, interval) for name, interval in wanted.items()}


def fill(directory: Path, wanted: Wanted) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files(wanted).items():
        (directory / name).write_text(text)


class Watched:
    """The running daemon. It keeps what every collector looked like, and how long each change
    took."""

    def __init__(
        self,
        state: Path,
        log: Path,
        process: subprocess.Popen[bytes],
        http: httpx.Client,
        control: str,
    ) -> None:
        self.state = state
        self._control = control
        self._log = log
        self.process = process
        self._http = http
        self._before: dict[str, dict[str, Any]] = {}
        self._steps: Counter[tuple[str, str]] = Counter()
        self.seconds: list[float] = []
        """From the end of each change to when what it declares was shown."""

    def shown(self) -> dict[str, dict[str, Any]]:
        asked: dict[str, str | int] = {"label": LABEL, "limit": 1000}
        listed = self._http.get("/collectors", params=asked).json()["items"]
        return {found["metadata"]["name"]: found for found in listed}

    @property
    def wanted(self) -> Wanted:
        """What was found the last time."""
        return {name: found["spec"]["collect"]["interval"] for name, found in self._before.items()}

    def last_error(self, name: str) -> str | None:
        last = self.shown()[name]["status"]["lastSession"]
        reason: str | None = last and last["error"] and last["error"]["reason"]
        return reason

    def collect(self, name: str) -> None:
        self._http.post(f"/collectors/{name}/collect", params={"force": "true"})

    def diagnostics(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get("/diagnostics").json()
        return found

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the daemon ended:\n{self._log.read_text()}"
            if found := look():
                return found
            time.sleep(0.03)
        shown = json.dumps(self.shown()) if _answers(self._control) else "no answer"
        raise AssertionError(f"never seen: {what}\n{shown}\n{self._log.read_text()}")

    def after(
        self,
        wanted: Wanted,
        change: Callable[..., object] | None = None,
        *given: object,
        revision: str | None = None,
    ) -> None:
        """Make a change, if it has not been; soon exactly `wanted` run, those that it does not
        concern without having been restarted."""
        if change:
            change(*given)
        since = time.monotonic()
        self.expect(wanted, revision)
        self.seconds.append(time.monotonic() - since)

    def expect(self, wanted: Wanted, revision: str | None = None) -> None:
        now = self.until(f"{dict(wanted)} at {revision}", lambda: self._settled(wanted, revision))
        for name, found in now.items():
            self._compare(name, found)
        for name in self._before.keys() - now.keys():
            self._steps["stop", name] += 1
        self._before = now

    def _settled(self, wanted: Wanted, revision: str | None) -> dict[str, dict[str, Any]] | None:
        now = self.shown()
        ready = {
            name: found["spec"]["collect"]["interval"]
            for name, found in now.items()
            if found["status"]["loopStartedAt"]
            and found["status"]["generation"] == found["status"]["observedGeneration"]
            and _condition(found, "Stalled")["reason"] in {"NoProblem", "SecretUnavailable"}
        }
        right = ready == dict(wanted) and {
            found["status"]["revision"] for found in now.values()
        } <= {revision}
        return now if right else None

    def _compare(self, name: str, found: dict[str, Any]) -> None:
        before = self._before.get(name)
        if before is None:
            self._steps["start", name] += 1
        elif found["spec"] == before["spec"]:
            assert _identity(found) == _identity(before), f"{name} was restarted"
        else:
            self._steps["replace", name] += 1
            assert found["status"]["generation"] == before["status"]["generation"] + 1
            assert found["status"]["loopStartedAt"] > before["status"]["loopStartedAt"]

    def same(self) -> None:
        """Nothing was restarted since."""
        now = self.shown()
        assert {name: _identity(found) for name, found in now.items()} == {
            name: _identity(found) for name, found in self._before.items()
        }

    def logged(self, *events: str) -> list[dict[str, Any]]:
        lines = (
            json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")
        )
        return [line for line in lines if line["event"] in events]

    def nothing_else_happened(self) -> None:
        """What the daemon did is what was asked of it, also in between."""
        done = Counter(
            (line["event"], line["collector"]) for line in self.logged("start", "replace", "stop")
        )
        assert done == self._steps


@contextmanager
def watched(directory: Path, home: Path, program: str = "") -> Iterator[Watched]:
    """A daemon over `directory`, with its state and log below `home`. `program`: Python that runs
    first."""
    home.mkdir(exist_ok=True)
    log, state = home / "daemon.log", home / "state"
    state.mkdir(mode=0o700)
    script = f"{program}\nfrom reconciler.cli import main\nmain()"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", script, "run", str(directory), "--state-dir", str(state)],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            cwd=home,
        )
    descriptor = os.open(state, os.O_PATH)
    control = f"/proc/self/fd/{descriptor}/control.sock"
    transport = httpx.HTTPTransport(uds=control)
    try:
        with httpx.Client(
            transport=transport, base_url="http://localhost/api/v1", timeout=60, trust_env=False
        ) as http:
            found = Watched(state, log, process, http, control)
            found.until("the control socket", lambda: _answers(control))
            yield found
            found.nothing_else_happened()
    finally:
        process.kill()
        process.wait()
        os.close(descriptor)


def _answers(control: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(control) == 0


def _condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in found["status"]["conditions"] if one["type"] == kind)


def _identity(found: dict[str, Any]) -> tuple[int, str]:
    return found["status"]["generation"], found["status"]["loopStartedAt"]


def stalled(found: dict[str, Any]) -> tuple[str, str]:
    condition = _condition(found, "Stalled")
    return condition["status"], condition["reason"]
