"""`pip install .` gives the complete command: schema and migrations are in the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.project import ROOT

MANIFEST = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: shop}
spec:
  source: {protocol: imap, host: localhost, port: 1, tls: none,
    username: shop, password: {env: SHOP}}
  recipient: {forwardTo: shop@office.example}
"""


@pytest.fixture
def installed(checkout: Path, tmp_path: Path) -> Path:
    """The `bin` of a virtual environment with the package built and installed from a copy of the
    checkout.

    What it depends on is lent by this environment, for installing it anew would take its time: the
    new one's own packages come first.
    """
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (Path(own) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            checkout,
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return environment / "bin"


def test_the_installed_command_is_complete(installed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "collectors.d").mkdir(parents=True)
    (elsewhere / "collectors.d" / "shop.yaml").write_text(MANIFEST, encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        } | {"SHOP": "secret"}
        return subprocess.run(
            [installed / arguments[0], *arguments[1:]],
            cwd=elsewhere,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    where = run("python", "-c", "import reconciler; print(reconciler.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed.parent)

    assert (Path(where.strip()).parent / "py.typed").exists()

    schema = run("mailcollector", "schema")
    assert run("python", "-m", "reconciler", "schema").stdout == schema.stdout
    assert json.loads(schema.stdout) == json.loads(
        (ROOT / "schemas" / "mailcollector.v1.json").read_text()
    )
    valid = run("mailcollector", "validate", "collectors.d")
    assert valid.returncode == 0, valid.stdout + valid.stderr

    # Nobody listens on port 1, so the session fails; the ledger it is recorded in was made by the
    # migrations.
    once = run("mailcollector", "run", "--once", "--state-dir", "state")
    assert once.returncode == 1, once.stderr
    (shown,) = json.loads(run("mailcollector", "get", "-o", "json", "--state-dir", "state").stdout)
    assert shown["status"]["lastSession"]["error"]["reason"] == "ConnectionFailed"
    assert shown["status"]["totals"]["sessions"] == 1
