"""A deployment of mailcollector in a directory of its own, driven as its users drive it: files and
the command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from tests.endtoend import forks
from tests.servers.dovecot import Dovecot

Tls = Literal["implicit", "starttls", "none"]
PATIENCE = 60.0
T = TypeVar("T")


class Deployment:
    """`<root>/collectors.d`, `<root>/state`, and mail in `<root>/mail/<domain>/<local part>`."""

    def __init__(self, root: Path, dovecot: Dovecot) -> None:
        self.root = root
        self.dovecot = dovecot
        self.manifests = root / "collectors.d"
        self.state = root / "state"
        self.manifests.mkdir(parents=True)
        self.secret = root / "secret"
        self.secret.write_text(f"{dovecot.password}\n")
        mail = root / "mail/{domain}/{local}"
        self.write(
            "destination",
            "apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {name: local}\n"
            f'spec:\n  default: true\n  maildir: {{path: "{mail}"}}\n',
        )

    # -- manifests

    def write(self, name: str, text: str) -> Path:
        """As an editor does: a new file takes the old one's place."""
        path = self.manifests / f"{name}.yaml"
        draft = self.manifests / f".{name}.draft"
        draft.write_text(text)
        draft.replace(path)
        return path

    def declare(
        self,
        name: str,
        user: str,
        *,
        protocol: str = "imap",
        tls: Tls = "implicit",
        to: str = "",
        secret: str = "",
        **collect: object,
    ) -> Path:
        """A collector of `user`'s mailbox, for `to` (default: NAME@example.net). `collect`: mode=…,
        interval=…, …"""
        port = self.dovecot.ports[protocol + ("s" if tls == "implicit" else "")]
        settings = ", ".join(f"{key}: {value}" for key, value in collect.items())
        return self.write(
            name,
            f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source:
    protocol: {protocol}
    host: localhost
    port: {port}
    tls: {tls}
    {"" if tls == "none" else f"caFile: {self.dovecot.ca_file}"}
    username: {user}
    password: {{file: {secret or self.secret}}}
  collect: {{{settings}}}
  recipient: {{forwardTo: {to or f"{name}@example.net"}}}
""",
        )

    def remove(self, name: str) -> None:
        (self.manifests / f"{name}.yaml").unlink()

    # -- the command

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [
            str(Path(sys.executable).with_name("mailcollector")),
            verb,
            *arguments,
            "--state-dir",
            str(self.state),
        ]

    def run(
        self, verb: str, *arguments: str, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        done = forks.run(
            [verb, *arguments, "--state-dir", str(self.state)], self.root, PATIENCE * 3
        )
        assert code is None or done.returncode == code, (
            f"{done.args}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def once(self, code: int = 0) -> None:
        self.run("run", str(self.manifests), "--once", code=code)

    def get(self, *names: str) -> dict[str, dict[str, Any]]:
        """Of `get -o json`, by name."""
        listed = json.loads(self.run("get", *names, "-o", "json").stdout)
        return {found["metadata"]["name"]: found for found in listed}

    @contextmanager
    def daemon(self, environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
        with (self.root / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                self.command("run", str(self.manifests)),
                cwd=self.root,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
        try:
            daemon = Daemon(self, process)
            daemon.ready()
            yield daemon
        finally:
            process.kill()
            process.wait()

    # -- what came of it

    def mail(self, name: str) -> list[bytes]:
        """Everything in this collector's Maildir, sorted."""
        return sorted(path.read_bytes() for path in self.maildir(name).glob("new/*"))

    def maildir(self, name: str) -> Path:
        return self.root / "mail" / "example.net" / name

    @property
    def log(self) -> str:
        return (self.root / "daemon.log").read_text()


class Daemon:
    def __init__(self, deployment: Deployment, process: subprocess.Popen[bytes]) -> None:
        self.deployment = deployment
        self.process = process

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds, as soon as it finds something."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the daemon ended:\n{self.deployment.log}"
            if found := look():
                return found
            time.sleep(0.02)
        raise AssertionError(f"never seen: {what}\n{self.deployment.get()}\n{self.deployment.log}")

    def ready(self) -> None:
        """Wait until it has loaded the manifests: before that it answers, but knows no
        collector."""
        self.until("the first load", self._is_ready)

    def _is_ready(self) -> bool:
        return self._answers() and self.request("/readyz").is_success

    def _answers(self) -> bool:
        try:
            directory = os.open(self.deployment.state, os.O_PATH)
        except FileNotFoundError:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(f"/proc/self/fd/{directory}/control.sock") == 0
        finally:
            os.close(directory)

    def request(self, path: str) -> httpx.Response:
        """From its API, without the time that a command takes to start."""
        directory = os.open(self.deployment.state, os.O_PATH)
        try:
            transport = httpx.HTTPTransport(uds=f"/proc/self/fd/{directory}/control.sock")
            with httpx.Client(
                transport=transport, base_url="http://daemon", timeout=PATIENCE
            ) as client:
                return client.get(path)
        finally:
            os.close(directory)

    def get(self) -> dict[str, dict[str, Any]]:
        """As `Deployment.get`."""
        return {
            found["metadata"]["name"]: found
            for found in self.request("/api/v1/collectors?limit=1000").json()["items"]
        }

    def condition(self, name: str, kind: str, status: str) -> dict[str, Any]:
        """The collector, once this condition holds."""

        def look() -> dict[str, Any] | None:
            found = self.get().get(name)
            held = found and any(
                condition["type"] == kind and condition["status"] == status
                for condition in found["status"]["conditions"]
            )
            return found if held else None

        return self.until(f"{name} {kind} {status}", look)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)
