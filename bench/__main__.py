"""`python -m bench [--messages N] [--runs N]`, from the checkout's root.

Every run is a whole process into an empty Maildir with an empty ledger, everything synced to disk; the time that the
same command takes over an empty directory is told beside it. Client, server and disk share this machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers import mail
from tests.servers.dovecot import Dovecot

PROGRAM = Path(sys.executable).with_name("mailcollector")
USER = "bench@shop.example"
CASES = {"IMAP": ("imap", "imap"), "IMAPS": ("imap", "imaps"), "POP3": ("pop3", "pop3"), "POP3S": ("pop3", "pop3s")}
"""Name -> protocol, port."""
MANIFEST = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: bench}}
spec:
  source: {{protocol: {protocol}, host: localhost, port: {port}, {tls}, username: {user},
           password: {{env: BENCH_PASSWORD}}}}
  collect: {{mode: new-keep, limit: 0}}
  recipient: {{forwardTo: bench@office.example}}
---
apiVersion: mailcollector/v1
kind: Destination
metadata: {{name: local}}
spec: {{default: true, maildir: {{path: ../mail}}}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with Dovecot() as server, tempfile.TemporaryDirectory(prefix="bench", dir="/var/tmp") as work:
        letters = [mail.message(number, 2_000 + 66_000 * (number % 2)) for number in range(asked.messages)]
        server.deliver(USER, letters)
        size = sum(map(len, letters)) / 1e6
        empty = statistics.median(seconds(Path(work), "", server) for _ in range(asked.runs))
        print(f"{asked.messages} messages, {size:.0f} MB, {asked.runs} runs, medians; "
              f"over an empty directory the command takes {empty:.2f} s")
        print(f"{'':6} {'seconds':>8} {'messages/s':>11} {'without start':>14}")
        for name, (protocol, port) in CASES.items():
            tls = f'caFile: "{server.ca_file}"' if port.endswith("s") else "tls: none"
            text = MANIFEST.format(protocol=protocol, port=server.ports[port], tls=tls, user=USER)
            runs = [seconds(Path(work), text, server, letters=len(letters)) for _ in range(asked.runs)]
            whole = statistics.median(runs)
            print(f"{name:6} {whole:8.2f} {asked.messages / whole:11.0f} {asked.messages / (whole - empty):14.0f}",
                  flush=True)
    return 0


def seconds(work: Path, manifest: str, server: Dovecot, *, letters: int = 0) -> float:
    """The wall-clock time of one run over `manifest`, which has to collect this many."""
    for name in ("collectors.d", "state", "mail"):
        shutil.rmtree(work / name, ignore_errors=True)
    (work / "collectors.d").mkdir()
    if manifest:
        (work / "collectors.d" / "bench.yaml").write_text(manifest, encoding="utf-8")
    os.sync()  # the mess of the run before is not this one's to write
    started = time.perf_counter()
    done = subprocess.run([PROGRAM, "run", work / "collectors.d", "--once", "--state-dir", work / "state"], check=False,
                          env={**os.environ, "BENCH_PASSWORD": server.password}, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    took = time.perf_counter() - started
    collected = sum(1 for _ in (work / "mail").glob("new/*"))
    if done.returncode or collected != letters:
        raise SystemExit(f"bench: {collected} of {letters} messages arrived\n{done.stderr}")
    return took


if __name__ == "__main__":
    sys.exit(main())
