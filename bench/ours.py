"""mailcollector itself: as a whole process, and as one session of a daemon that runs already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bench.peers import Account, Command

PROGRAM = Path(sys.executable).with_name("mailcollector")
TIMEOUT = 600.0
DESTINATION = """\
apiVersion: mailcollector/v1
kind: Destination
metadata: {{name: local}}
spec: {{default: true, maildir: {{path: "{path}"}}}}
"""
_COLLECTOR = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source: {{protocol: {protocol}, host: localhost, port: {port}, {tls},
    username: {user}, password: {{file: {secret}}}}}
  collect: {{mode: new-keep, limit: 0, interval: 1d}}
  recipient: {{forwardTo: bench@office.example}}
"""


def prepared(work: Path, password: str, maildir: Path) -> Path:
    """The directory of manifests, with nothing to collect in it."""
    manifests = work / "collectors.d"
    manifests.mkdir(parents=True)
    (work / "secret").write_text(password)
    (manifests / "local.yaml").write_text(DESTINATION.format(path=maildir))
    return manifests


def declare(work: Path, name: str, account: Account) -> None:
    tls = f'caFile: "{account.ca_file}"' if account.tls else "tls: none"
    text = _COLLECTOR.format(
        name=name,
        protocol="imap" if account.imap else "pop3",
        port=account.port,
        tls=tls,
        user=account.user,
        secret=work / "secret",
    )
    draft = work / name
    draft.write_text(text)
    draft.replace(work / "collectors.d" / f"{name}.yaml")


def once(work: Path) -> Command:
    return [
        str(PROGRAM),
        "run",
        str(work / "collectors.d"),
        "--once",
        "--state-dir",
        str(work / "state"),
    ]


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, seconds of CPU, and by how many MB a session's memory went beyond what the daemon
    had before."""

    wall: float
    cpu: float
    memory: float


class Daemon:
    """A running one; its sessions are measured by what it says of them, and by what the kernel says
    of the process."""

    def __init__(self, work: Path, process: subprocess.Popen[bytes]) -> None:
        self._work = work
        self._process = process
        self._state = os.open(
            work / "state", os.O_PATH | os.O_DIRECTORY
        )  # the path may be too long for a socket's
        transport = httpx.HTTPTransport(uds=f"/proc/self/fd/{self._state}/control.sock")
        self._client = httpx.Client(
            transport=transport, base_url="http://localhost", timeout=TIMEOUT
        )

    def collect(self, name: str, account: Account) -> Figures:
        """A first session: the collector is declared now."""
        before = self._resources()
        declare(self._work, name, account)
        return self._figures(name, before)

    def settle(self, name: str) -> None:
        """Wait until a session of this one has ended."""
        self._figures(name, (0.0, 0.0))

    def poll(self, name: str) -> Figures:
        """Another session, waited for in one request, whose CPU is counted as well. By the kernel's
        nanoseconds, which it keeps of threads that live: a poll ends none."""
        before, spent = self._resources(), self._spent()
        with self._client.stream(
            "POST", f"/api/v1/collectors/{name}/collect", params={"wait": "true"}
        ) as answer:
            answer.raise_for_status()
            *_, last = (
                line.removeprefix("data:")
                for line in answer.iter_lines()
                if line.startswith("data:")
            )
        found = json.loads(last)
        if found["outcome"] != "succeeded":
            raise SystemExit(f"bench: {found}")
        return Figures(_seconds(found), self._spent() - spent, self._peak() - before[1])

    def close(self) -> None:
        self._client.close()
        os.close(self._state)

    def _figures(self, name: str, before: tuple[float, float]) -> Figures:
        deadline = time.monotonic() + TIMEOUT
        found: dict[str, Any] | None = None
        while not found or found["outcome"] == "running":
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"bench: no session of {name} ended\n{(self._work / 'log').read_text()}"
                )
            time.sleep(0.1)
            if self._logged(name):
                found = self._session(name)
        if found["outcome"] != "succeeded":
            raise SystemExit(f"bench: {found}")
        cpu, _ = self._resources(keep=True)
        return Figures(_seconds(found), cpu - before[0], self._peak() - before[1])

    def _logged(self, name: str) -> bool:
        """Whether a session of this one has ended, by the log: answering requests would take its
        CPU."""
        *lines, _ = (self._work / "log").read_text().split("\n")  # the last one is not whole yet
        events = map(json.loads, lines)
        return any(event["event"] == "session" and event["collector"] == name for event in events)

    def _session(self, name: str) -> dict[str, Any] | None:
        answer = self._client.get(f"/api/v1/collectors/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        status = answer.raise_for_status().json()["collector"]["status"]
        found: dict[str, Any] | None = status.get("lastSession")
        return found

    def _resources(self, *, keep: bool = False) -> tuple[float, float]:
        """Seconds of CPU so far, MB of memory now; from now on the peak is counted anew."""
        place = Path("/proc", str(self._process.pid))
        if not keep:
            (place / "clear_refs").write_text("5")
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), self._status("VmRSS")

    def _spent(self) -> float:
        tasks = Path("/proc", str(self._process.pid), "task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def _peak(self) -> float:
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        lines = Path("/proc", str(self._process.pid), "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


@contextmanager
def daemon(work: Path) -> Iterator[Daemon]:
    command = [str(PROGRAM), "run", str(work / "collectors.d"), "--state-dir", str(work / "state")]
    with (work / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while not (work / "state" / "control.sock").exists():
            if process.poll() is not None:
                raise SystemExit(f"bench: the daemon ended\n{(work / 'log').read_text()}")
            time.sleep(0.05)
        running = Daemon(work, process)
        yield running
        running.close()
    finally:
        process.terminate()
        process.wait()


def _seconds(session: dict[str, Any]) -> float:
    return (
        datetime.fromisoformat(session["finishedAt"]) - datetime.fromisoformat(session["startedAt"])
    ).total_seconds()
