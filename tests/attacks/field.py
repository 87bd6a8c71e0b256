"""One daemon with good collectors, and what can be seen of it from outside while somebody
attacks."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.endtoend.deployment import PATIENCE, Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.loopback import free_ports
from tests.servers.mail import small
from tests.unprivileged import UNPRIVILEGED

GOOD = 4
INTERVAL = 5.0
_CALM = 1 << 20
"""Octets that its memory may still go down by before an attack begins."""
T = TypeVar("T")


@dataclass(frozen=True)
class SecretCheck:
    """During one attack: seconds that /healthz took at worst, octets of memory above those before
    it, seconds that a good collector came late at worst, what is said of the attack."""

    health: float
    memory: int
    late: float
    said: str


class Field:
    """`with Field(dovecot, root) as field:`; attacks put their manifests into `manifests`, below
    `attack`."""

    def __init__(self, dovecot: Dovecot, root: Path) -> None:
        self.dovecot = dovecot
        self.deployment = Deployment(root / "deployment", dovecot)
        self.attack = self.deployment.manifests / "attack"
        [self.port] = free_ports(1)
        self._log = root / "log"
        self._turn = 0

    def __enter__(self) -> Field:
        for number in range(GOOD):
            user = f"good-{number}-{self.port}"
            self.dovecot.deliver(user, small(3, seed=user))
            self.deployment.declare(
                f"good-{number}", user, protocol=("imap", "pop3")[number % 2], interval="5s"
            )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *UNPRIVILEGED,
                    *self.deployment.command("run", str(self.deployment.manifests)),
                    "--listen",
                    f"127.0.0.1:{self.port}",
                ],
                cwd=self.deployment.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.until("good collectors", lambda: len(self._starts()) == GOOD)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    # -- for attacks

    def write(self, name: str, text: str) -> Path:
        self.attack.mkdir(exist_ok=True)
        path = self.attack / f"{name}.yaml"
        path.write_text(text)
        return path

    def collector(self, name: str) -> str:
        """Each attack has its own, for what is remembered of the one before is no matter here."""
        return f"attack-{self._turn}-{name}"

    def declare(
        self,
        name: str,
        port: int,
        *,
        protocol: str = "imap",
        host: str = "127.0.0.1",
        source: str = "",
        password: str = "",
        destination: str = "local",
        push: bool = False,
    ) -> None:
        """A collector of the attacker's; `source`: more of its fields; `password` instead of a good
        one."""
        login = password or f"password: {{file: {self.deployment.secret}}}"
        self.write(
            name,
            f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {self.collector(name)}}}
spec:
  source: {{protocol: {protocol}, host: {host}, port: {port}, tls: none, username: user,
    {login}{source}}}
  collect: {{interval: 5s, push: {str(push).lower()}}}
  recipient: {{forwardTo: "{name}@example.net"}}
  destination: {destination}
""",
        )

    def until(self, what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(
                    f"the daemon ended with {self._process.returncode}:\n{self._tail()}"
                )
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"never seen: {what}\n{self._tail()}")

    def post(self, path: str, timeout: float) -> None:
        """To the API on the socket, seconds; what it answers is nobody's business."""
        self._ask(f"POST {path}", timeout)

    def _ask(self, what: str, timeout: float) -> bytes:
        """The beginning of the answer; with little work, for that would count as the daemon's."""
        with socket.socket(socket.AF_UNIX) as opened:
            try:
                opened.connect(str(self._socket))  # without a time-out: unix(7), EAGAIN
                opened.settimeout(timeout)
                opened.sendall(
                    f"{what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                return opened.recv(64)
            except OSError:
                return b""

    @property
    def _socket(self) -> Path:
        return self.deployment.state / "control.sock"

    # -- what is seen

    def watch(
        self, attack: Callable[[Field, ExitStack], Callable[[], object]], seconds: float
    ) -> SecretCheck:
        """From the beginning of `attack` until `seconds` after it took hold: it gives back what
        says so."""
        self._calm_down()
        self._turn += 1
        idle = self._memory("VmRSS")
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")  # VmHWM begins again
        began = datetime.now().astimezone()
        with self._asking() as health:
            with ExitStack() as stack:
                stack.callback(self._clean_up)
                took_hold = attack(self, stack)
                self.until("that the attack takes hold", took_hold)
                self._endure(seconds)
                said = self._said(began)
            memory = self._memory("VmHWM") - idle
        return SecretCheck(max(health), memory, self._lateness(began), said)

    def _endure(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.until("the end", lambda: time.monotonic() > deadline, seconds + PATIENCE)

    def _clean_up(self) -> None:
        for path in [self.attack, self.deployment.manifests / ".git"]:
            if path.is_dir():
                path.chmod(0o755)
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _calm_down(self) -> None:
        """The attack before this one is over: nothing of it is declared or runs."""
        self.until(
            "only good collectors",
            lambda: (
                {found["metadata"]["name"] for found in self._collectors()}
                == {f"good-{number}" for number in range(GOOD)}
            ),
            2 * PATIENCE,
        )
        before = self._memory("VmRSS")
        while True:
            time.sleep(1)
            now = self._memory("VmRSS")
            if before - now < _CALM:
                return
            before = now

    @contextmanager
    def _asking(self) -> Iterator[list[float]]:
        """Ask for /healthz again and again, and note how long it takes."""
        took: list[float] = []
        over = threading.Event()

        def ask() -> None:
            while not over.wait(0.05):
                began = time.monotonic()
                took.append(time.monotonic() - began if self._is_well() else PATIENCE)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield took
        finally:
            over.set()
            thread.join()

    def _is_well(self) -> bool:
        return self._ask("GET /healthz", PATIENCE).startswith(b"HTTP/1.1 200")

    def _memory(self, what: str) -> int:
        found = re.search(
            rf"{what}:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text()
        )
        assert found
        return int(found[1]) << 10

    def _collectors(self) -> list[dict[str, Any]]:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)),
            base_url="http://daemon",
            timeout=PATIENCE,
        ) as client:
            found: list[dict[str, Any]] = client.get("/api/v1/collectors?limit=1000").json()[
                "items"
            ]
            return found

    def _said(self, began: datetime) -> str:
        """Of the first collector of the attack that says anything; else of the first file that is
        told to be wrong."""
        ready = [
            condition
            for found in self._collectors()
            if found["metadata"]["name"].startswith("attack-")
            for condition in found["status"]["conditions"]
            if condition["type"] == "Ready"
        ]
        said = [
            f"{condition['reason']}: {condition['message']}"
            for condition in ready
            if condition["status"] == "False"
        ]
        told = [
            f"{event['rule']}: {event['error']}"
            for event in self._events()
            if event.get("event") == "invalid"
            and datetime.fromisoformat(event["timestamp"]) > began
        ]
        return (said or told or ["-"])[0]

    def _events(self) -> Iterator[dict[str, Any]]:
        for line in self._log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def _starts(self) -> dict[str, list[float]]:
        """When the sessions of each good collector began."""
        found: dict[str, list[float]] = {}
        for event in self._events():
            if event["event"] == "session" and event["collector"].startswith("good-"):
                ended = datetime.fromisoformat(event["timestamp"]).timestamp()
                found.setdefault(event["collector"], []).append(ended - event["seconds"])
        return found

    def _lateness(self, began: datetime) -> float:
        """The longest time without a session of a good collector, beyond the interval."""
        now, then = time.time(), began.timestamp()
        return (
            max(
                max(
                    later - earlier
                    for earlier, later in zip(starts, [*starts[1:], now], strict=True)
                    if later > then
                )
                for starts in self._starts().values()
            )
            - INTERVAL
        )

    def _tail(self) -> str:
        return self._log.read_text()[-3000:]


Attack = Callable[[Field, ExitStack], Callable[[], object]]
"""Sets everything up, registers with the stack what ends it, and gives back whether it has taken
hold."""
