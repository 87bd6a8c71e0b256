"""Each command of docs/tutorial.md, in its order, with a small mail server as the account."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from demo.mailserver.server import SmallServer
from tests.project import ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)
PROGRAMS = Path(sys.executable).parent
START = "mailcollector run"


def test_its_commands_do_what_it_says(tmp_path: Path) -> None:
    with SmallServer() as server:
        server.deliver("shop@example.org", [b"Subject: one\n\n1\n", b"Subject: two\n\n2\n"])
        environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "SSL_CERT_FILE": str(server.ca_file),
        }
        daemon: subprocess.Popen[str] | None = None
        try:
            for command in COMMANDS:
                if command == START:
                    daemon = subprocess.Popen(
                        shlex.split(command), cwd=tmp_path, env=environment, text=True
                    )
                    wait_until_well(daemon, tmp_path, environment)
                    continue
                if " add " in command:  # there is no terminal to ask for the password
                    command += f" --port {server.ports['imaps']} --password-stdin"  # noqa: PLW2901
                done = subprocess.run(
                    shlex.split(command.replace("imap.example.org", "localhost")),
                    cwd=tmp_path,
                    env=environment,
                    input=server.password,
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert done.returncode == 0, (command, done.stdout, done.stderr)
            assert daemon is not None
            daemon.send_signal(signal.SIGINT)
            assert daemon.wait(20) == 0
        finally:
            if daemon is not None:
                daemon.kill()
                daemon.wait()
    assert len(list((tmp_path / "state/mail/shop@office.example/new").iterdir())) == 2


def wait_until_well(
    daemon: subprocess.Popen[str], room: Path, environment: dict[str, str], patience: float = 60
) -> None:
    deadline = time.monotonic() + patience
    while subprocess.run(
        ["mailcollector", "health"], cwd=room, env=environment, check=False, capture_output=True
    ).returncode:
        assert daemon.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
