"""docs/security.md: each promise names a test that there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
PROMISES = re.findall(r"^\|[^|]+\| `(tests/[^`:]+)::(test_\w+)` \|$", PAGE, re.MULTILINE)


def test_every_row_of_the_promises_names_a_test() -> None:
    table = PAGE.partition("## What is promised")[2]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(PROMISES) > 8


@pytest.mark.parametrize(("file", "test"), PROMISES)
def test_the_test_that_holds_a_promise_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert test in {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


COLLECTOR = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: a}
spec:
  source: {protocol: imap, host: 127.0.0.1, port: 1, tls: none,
    username: a, password: {command: [WATCH]}}
  recipient: {forwardTo: a@example.net}
"""
WATCH = """\
#!/bin/sh
grep -s '^Max core file size' /proc/$PPID/limits >>"$0.seen"
stat -c '%u' /proc/$PPID/mem >>"$0.seen"
exit 1
"""


@pytest.mark.parametrize("words", [["run", "--once"], ["collect", "a"], ["check", "a"]])
def test_E12_what_reads_secrets_can_be_neither_dumped_nor_traced(
    words: list[str], tmp_path: Path
) -> None:
    """Asked by a program that it runs for a secret. What may not be dumped belongs to root, in
    /proc."""
    program = tmp_path / "watch"
    program.write_text(WATCH)
    program.chmod(0o755)
    (tmp_path / "collectors.d").mkdir()
    (tmp_path / "collectors.d" / "a.yaml").write_text(COLLECTOR.replace("WATCH", str(program)))
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from reconciler.cli import main; main()",
            *words,
            "--manifests",
            "collectors.d",
            "--state-dir",
            "state",
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    limits, owner = (tmp_path / "watch.seen").read_text().splitlines()[:2]
    assert limits.split()[4:6] == ["0", "0"]
    assert owner == "0"


HOLDING = [
    "add b --protocol imap --host h.example --username u --password-stdin --forward-to a@b.example",
    "add -f -",
    "validate -",
    "import fetchmailrc /dev/stdin",
]
UNLIMITED = (
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)); "
    "from reconciler.cli import main; main()"
)


@pytest.mark.parametrize("words", HOLDING)
def test_E12_what_is_given_a_secret_can_be_neither_dumped_nor_traced(
    words: str, tmp_path: Path
) -> None:
    """Seen while it waits for its standard input, which holds one."""
    (tmp_path / "collectors.d").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", UNLIMITED, *words.split()],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        limits = Path(f"/proc/{process.pid}/limits")
        deadline = time.monotonic() + 60
        while "Max core file size        0 " not in limits.read_text():
            assert process.poll() is None
            assert time.monotonic() < deadline, limits.read_text()
            time.sleep(0.05)
        process.kill()


def test_E12_the_process_says_that_it_may_not_be_dumped() -> None:
    script = (
        "import ctypes; from reconciler.app.process_setup import forbid_core_dumps; "
        "forbid_core_dumps(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )  # PR_GET_DUMPABLE
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
        == b"0\n"
    )
