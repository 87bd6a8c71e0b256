"""Servers that send without end cost a bounded amount of memory, measured over the whole
program."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.servers.scripted import Client, Script, Scripted
from tests.sources import imap_server, pop3_scripts

BOUND = 64 << 10
"""KiB beyond what a session with a well-behaved server needs."""
ENDLESS = 1 << 30
PROGRAM = """
import sys
from reconciler import cli
try:
    cli.main()
finally:
    sys.stderr.write(open("/proc/self/status").read())
"""
MAILS = [b"Subject: one\r\n\r\nfirst\r\n", b"Subject: two\r\n\r\nsecond\r\n"]


def pouring(begin: bytes, pieces: Callable[[], Iterable[bytes]]) -> Callable[[Client, bytes], None]:
    """Send `begin`, then all of `pieces`, a gigabyte at most."""

    def pour(client: Client, line: bytes) -> None:
        client.send(imap_server.tagged(line, begin))
        sent = 0
        for piece in pieces():
            client.send(piece)
            sent += len(piece)
            if sent > ENDLESS:
                return

    return pour


def block() -> Iterable[bytes]:
    return itertools.repeat(b"x" * (1 << 20))


def lines(text: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: itertools.repeat((text + b"\r\n") * 10_000)


def numbered(form: bytes) -> Callable[[], Iterable[bytes]]:
    """Lines in which each %d is the line's number."""
    count = form.count(b"%d")

    def pieces() -> Iterable[bytes]:
        for start in itertools.count(1, 5000):
            yield b"".join(
                form % ((number,) * count) + b"\r\n" for number in range(start, start + 5000)
            )

    return pieces


def imap(command: str, begin: bytes, pieces: Callable[[], Iterable[bytes]]) -> Script:
    return imap_server.imap({command: pouring(begin, pieces)})


def pop3(command: bytes, begin: bytes, pieces: Callable[[], Iterable[bytes]]) -> Script:
    table = pop3_scripts.replies(MAILS)

    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        while True:
            line = client.line()
            if line.startswith(command):
                pouring(begin, pieces)(client, line)
                return
            reply = table[max((known for known in table if line.startswith(known)), key=len)]
            assert isinstance(reply, bytes)
            client.send(reply)

    return script


FLOODS: dict[str, tuple[str, Script]] = {
    "I1 a literal of 6 GB": (
        "imap",
        imap("UID FETCH", b"* 1 FETCH (UID 1 BODY[] {6000000000}\r\n", block),
    ),
    "I18 untagged data": ("imap", imap("CAPABILITY", b"", lines(b"* OK still here"))),
    "I18 a listing": (
        "imap",
        imap("UID FETCH 1:*", b"", numbered(b"* %d FETCH (UID %d RFC822.SIZE 10)")),
    ),
    "I20 a line": ("imap", imap("EXAMINE", b"* OK ", block)),
    "I20 a greeting": ("imap", lambda client: pouring(b"* OK ", block)(client, b"TAG")),
    "P8 UIDL": ("pop3", pop3(b"UIDL", b"+OK\r\n", numbered(b"%d uid%d"))),
    "P8 LIST": ("pop3", pop3(b"LIST", b"+OK\r\n", numbered(b"%d 10"))),
    "P4 a UIDL": ("pop3", pop3(b"UIDL", b"+OK\r\n1 ", block)),
    "P6 a message": ("pop3", pop3(b"RETR 1", b"+OK\r\n", lines(b"and so on"))),
    "P4 a greeting": ("pop3", lambda client: pouring(b"+OK ", block)(client, b"TAG")),
}


def peak(root: Path, protocol: str, script: Script) -> tuple[int, str]:
    """Resident memory at most, in KiB, and what the session says."""
    (root / "secret").write_text("pa$$word\n")
    (root / "collectors.d").mkdir()
    with Scripted(script) as server:
        (root / "collectors.d" / "flood.yaml").write_text(
            "apiVersion: mailcollector/v1\nkind: MailCollector\nmetadata: {name: flood}\nspec:\n"
            f"  source: {{protocol: {protocol}, host: 127.0.0.1, port: {server.port}, tls: none, "
            "username: user, "
            f"password: {{file: {root}/secret}}}}\n  collect: {{maxMessageSize: 5MiB}}\n"
            "  recipient: {forwardTo: a@example.net}\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "run", "collectors.d", "--once"],
            check=False,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
    found = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert found, done.stderr
    session = next(
        json.loads(line) for line in done.stderr.splitlines() if '"event": "session"' in line
    )
    return int(found[1]), str(
        session.get("error") or session.get("notes") or ""
    )  # the notes: it is one message's


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a session with a server that behaves needs."""
    behaved = {
        "imap": imap_server.imap({"UID FETCH": b"TAG OK done\r\n"}),
        "pop3": pop3_scripts.speak(pop3_scripts.replies(MAILS)),
    }
    return {
        protocol: peak(tmp_path_factory.mktemp(protocol), protocol, script)[0]
        for protocol, script in behaved.items()
    }


@pytest.mark.parametrize("flood", FLOODS)
def test_I1_I18_I20_P4_P8_a_flood_costs_little_memory(
    tmp_path: Path, usual: dict[str, int], flood: str
) -> None:
    protocol, script = FLOODS[flood]
    held, error = peak(tmp_path, protocol, script)
    assert error
    assert held - usual[protocol] < BOUND, error
