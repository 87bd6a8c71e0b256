"""`make test-image` runs the image: `python -m tests.project.image PODMAN [OPTION…]`, where it is
called mailcollector.

As its own number, with a read-only root, manifests and secrets mounted, from a Dovecot on this
machine's loopback.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.servers.dovecot import Dovecot
from tests.servers.mail import corpus

NUMBER = 10001
STATE, CONFIGURATION = "/var/lib/mailcollector", "/etc/mailcollector"
MANIFEST = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: sales}}
spec:
  source:
    protocol: imap
    host: 127.0.0.1
    port: {port}
    fingerprint: "sha256:{fingerprint}"
    username: sales@example.org
    password: {{file: /etc/mailcollector/secrets/sales}}
  recipient: {{forwardTo: sales@example.net}}
"""


class Trouble(Exception):
    """What is not as it should be, in one sentence."""


def main(podman: list[str]) -> int:
    try:
        with tempfile.TemporaryDirectory() as directory, Dovecot() as dovecot:
            _Trial(podman, Path(directory), dovecot).run()
    except Trouble as trouble:
        print(f"image: {trouble}", file=sys.stderr)
        return 1
    return 0


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise Trouble(otherwise)


class _Trial:
    def __init__(self, podman: list[str], directory: Path, dovecot: Dovecot) -> None:
        self._podman = podman
        self._directory = directory
        self._messages = corpus(20)
        dovecot.deliver("sales@example.org", self._messages)
        self._lay_out(dovecot)

    def run(self) -> None:
        self._look_into()
        print(f"its own policy keeps it from this machine's network: {self._refused()}")
        policy = f"{self._directory}/policy.yaml:{CONFIGURATION}/policy.yaml:ro"
        name = self._said("run", "--detach", "--volume", policy, *self._options(), "mailcollector")
        try:
            self._watch(name)
        finally:
            print(self._call("logs", name).stderr, end="")
            self._call("rm", "--force", name)
        print("the image is well")

    def _watch(self, name: str) -> None:
        _await(lambda: self._call("healthcheck", "run", name).returncode == 0, "healthy")
        inbox = self._directory / "state" / "mail" / "sales@example.net" / "new"
        _await(
            lambda: inbox.is_dir() and len(list(inbox.iterdir())) == len(self._messages),
            "everything collected",
        )
        wanted = sorted(message.replace(b"\r\n", b"\n") for message in self._messages)
        expect(
            sorted(path.read_bytes() for path in inbox.iterdir()) == wanted,
            "what came is not what was sent",
        )
        expect(
            {path.stat().st_uid for path in inbox.iterdir()} == {NUMBER},
            f"the mail does not belong to {NUMBER}",
        )
        expect(self._said("exec", name, "id", "-u") == str(NUMBER), f"it does not run as {NUMBER}")
        expect(
            self._call("exec", "--user", "0", name, "touch", "/opt/written").returncode != 0,
            "its root directory can be written",
        )
        print(self._said("exec", name, "mailcollector", "get"))
        began = time.monotonic()
        self._said("kill", "--signal", "TERM", name)
        code = self._said("wait", name)
        took = time.monotonic() - began
        print(f"SIGTERM: exit code {code} after {took:.1f} s")
        expect(code == "0" and took < 10, "SIGTERM did not end it with 0 within ten seconds")

    def _look_into(self) -> None:
        size = int(self._said("image", "inspect", "--format", "{{.Size}}", "mailcollector"))
        root = Path(self._said("image", "mount", "mailcollector"))
        try:
            programs = {
                path.name
                for place in ("bin", "usr/bin", "opt/mailcollector/bin")
                for path in (root / place).iterdir()
            }
            tools = programs & {"cc", "gcc", "make", "ld", "pip", "pip3"}
            expect(not tools, f"it holds {', '.join(sorted(tools))}")
            expect("mailcollector" in programs, "it holds no mailcollector")
            packages = next((root / "opt/mailcollector/lib").glob("python3.*/site-packages"))
            left = [
                path
                for path in (
                    packages / "pip",
                    root / "src",
                    root / "etc/pip.conf",
                    *packages.rglob("tests"),
                )
                if path.exists()
            ]
            expect(not left, f"it holds {', '.join(map(str, left))}")
            ours = sum(path.lstat().st_size for path in (root / "opt/mailcollector").rglob("*"))
        finally:
            self._said("image", "unmount", "mailcollector")
        print(f"the image has {size / 1e6:.0f} MB, {ours / 1e6:.0f} of them in /opt/mailcollector")

    def _refused(self) -> str:
        done = self._call(
            "run",
            "--rm",
            *self._options(),
            "mailcollector",
            "validate",
            f"{CONFIGURATION}/collectors.d",
        )
        expect(
            done.returncode == 1 and "[policy-host]" in done.stdout,
            f"its own policy keeps nobody from this machine's network: {_last(done)}",
        )
        return done.stdout.splitlines()[0]

    def _lay_out(self, dovecot: Dovecot) -> None:
        own = self._directory
        for name in ("state", "collectors.d", "secrets"):
            (own / name).mkdir(mode=0o700)
        (own / "collectors.d" / "sales.yaml").write_text(
            MANIFEST.format(port=dovecot.ports["imaps"], fingerprint=dovecot.fingerprint)
        )
        (own / "secrets" / "sales").write_text(f"{dovecot.password}\n")
        (own / "secrets" / "sales").chmod(0o400)
        policy = Path("deploy/policy.yaml").read_text("utf-8")
        (own / "policy.yaml").write_text(policy.replace('sources: ["*"]', "sources: [127.0.0.0/8]"))
        own.chmod(0o755)
        for path in own.rglob("*"):
            shutil.chown(path, NUMBER, NUMBER)

    def _options(self) -> list[str]:
        """Limits that need no capability, and nothing that needs systemd."""
        own = self._directory
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return [
            "--read-only",
            "--network",
            "host",
            "--ulimit",
            f"nofile={files}:{files}",
            "--ulimit",
            "nproc=1000:1000",
            "--health-interval",
            "disable",
            "--volume",
            f"{own}/state:{STATE}",
            "--volume",
            f"{own}/collectors.d:{CONFIGURATION}/collectors.d:ro",
            "--volume",
            f"{own}/secrets:{CONFIGURATION}/secrets:ro",
        ]

    def _said(self, *arguments: str) -> str:
        done = self._call(*arguments)
        expect(
            done.returncode == 0,
            f"`podman {arguments[0]}` ended with {done.returncode}: {_last(done)}",
        )
        return done.stdout.strip()

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._podman, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "CONTAINERS_CONF": os.devnull},
        )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing that it said."""
    return ((done.stderr or done.stdout).strip() or "nothing was said").splitlines()[-1]


def _await(condition: Callable[[], bool], what: str, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(f"not within {patience:.0f} s: {what}")
        time.sleep(0.2)
    print(what)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
