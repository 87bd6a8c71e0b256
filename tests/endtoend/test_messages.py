"""What messages may be, from the server's disk to ours; and what may be seen of us meanwhile."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.endtoend.deployment import Deployment
from tests.endtoend.test_collect import as_sent
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small, strange


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_M1_M3_whatever_the_octets_are_they_arrive(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    dovecot.deliver(user, strange().values())
    stored = as_sent(dovecot.messages(user), protocol)
    deployment.declare("sales", user, protocol=protocol, mode="new-delete")
    deployment.once()
    assert deployment.mail("sales") == stored
    assert dovecot.messages(user) == []


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_M12_one_message_id_and_different_mail_is_delivered_twice(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    head = b"Message-ID: <same@example.org>\nSubject: same\n\n"
    mails = [head + b"one\n", head + b"another\n", head + b"one\n"]
    for _ in range(2):
        dovecot.deliver(user, mails)
        deployment.declare("sales", user, protocol=protocol, mode="all-delete")
        deployment.once()
    assert deployment.mail("sales") == sorted(mails * 2)


def test_S3_neither_argv_nor_environment_nor_a_core_tells_the_secret(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    """Of the daemon and of the program that it asks for a password."""
    seen = deployment.root / "seen"
    program = deployment.root / "password"
    program.write_text(
        f"#!/bin/sh\ntr '\\0' '\\n' </proc/$$/cmdline >{seen}\n"
        f"tr '\\0' '\\n' </proc/$$/environ >>{seen}\ncat {deployment.secret}\n"
    )
    program.chmod(0o700)
    manifest = deployment.declare("sales", user)
    manifest.write_text(
        manifest.read_text().replace(f"{{file: {deployment.secret}}}", f"{{command: [{program}]}}")
    )
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Ready", "True")
        process = Path(f"/proc/{daemon.process.pid}")
        assert (
            dovecot.password.encode()
            not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        )
        assert re.search(
            r"^Max core file size +0 +0 ", (process / "limits").read_text(), re.MULTILINE
        )
    assert str(program) in seen.read_text()
    assert dovecot.password not in seen.read_text()


def test_R1_too_few_descriptors_lose_nothing_and_are_recovered_from(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    sent = {}
    for number in range(20):
        name = f"c{number:02}"
        sent[name] = small(3, seed=name)
        dovecot.deliver(f"{user}-{name}", sent[name])
        deployment.declare(
            name, f"{user}-{name}", protocol=("imap", "pop3")[number % 2], mode="new-delete"
        )
    command = deployment.command(
        "run", str(deployment.manifests), "--once", "--host-connections", "20"
    )
    scarce = subprocess.run(
        ["sh", "-c", 'ulimit -n 50; exec "$@"', "sh", *command],
        check=False,
        cwd=deployment.root,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ,
    )
    assert scarce.returncode == 1, scarce.stderr
    assert "Too many open files" in scarce.stderr
    assert "Traceback" not in scarce.stderr
    deployment.once()
    assert {name: deployment.mail(name) for name in sent} == {
        name: sorted(mails) for name, mails in sent.items()
    }
