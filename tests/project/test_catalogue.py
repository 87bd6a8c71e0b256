"""Every hazard that a mail collector is known to meet has a test named after it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.project import ROOT

CATALOGUE = {
    "T1": "STARTTLS is not offered",
    "T2": "PREAUTH where TLS is required",
    "T3": "octets behind the STARTTLS answer",
    "T4": "untagged data before TLS",
    "T5": "wrong name, expired, unknown authority",
    "T6": "another pinned key",
    "T8": "TLS that verifies nothing",
    "T9": "silence after STARTTLS",
    "T10": "TLS below 1.2",
    "T11": "the end without close_notify",
    "T12": "LOGINDISABLED, weaker authentication",
    "I1": "a huge literal",
    "I2": "a literal longer than its data",
    "I3": "a literal shorter than its data",
    "I4": "no body",
    "I6": "RFC822.SIZE is wrong",
    "I7": "a FETCH of another UID",
    "I8": "a UID twice",
    "I9": "UIDVALIDITY changes between sessions",
    "I10": "UIDVALIDITY is missing or changes in a session",
    "I11": "UIDNEXT goes back",
    "I12": "EXPUNGE during a FETCH",
    "I13": "n:* gives an older UID",
    "I14": "SEARCH gives junk",
    "I15": "BYE during a FETCH",
    "I16": "NO for one message",
    "I17": "slowloris",
    "I18": "a flood of untagged data",
    "I19": "a hang after LOGIN, a dead IDLE",
    "I20": "an endless line",
    "I21": "a wrong tag",
    "I22": "odd folder names",
    "I25": "no UIDPLUS",
    "I26": "a read-only mailbox",
    "I27": "INUSE, LIMIT and their like",
    "I28": "no UIDNEXT",
    "I29": "capabilities that change",
    "I30": "delimiters",
    "I31": "IDLE tells late",
    "P1": "no UIDL",
    "P2": "UIDLs that repeat",
    "P3": "all UIDLs change",
    "P4": "a UIDL of a megabyte",
    "P5": "a line over 2048 octets",
    "P6": "the end before the final dot",
    "P7": "a bare-LF dot",
    "P8": "STAT, LIST and UIDL disagree",
    "P9": "DELE refused",
    "P10": "QUIT fails",
    "P11": "IN-USE, LOGIN-DELAY",
    "P12": "UTF8",
    "P13": "sizes differ",
    "P14": "RETR sets \\Seen",
    "P15": "another protocol, other keys",
    "P16": "no greeting",
    "M1": "NUL, 8-bit headers, lone CR and LF",
    "M2": "the same by SMTP",
    "M3": "no header, no body, nothing",
    "M4": "a header of 10 MB",
    "M6": "groups, routes, quotes",
    "M7": "a line end in an address",
    "M8": "IDN, EAI",
    "M9": "../ in an address",
    "M10": "a mail loop",
    "M12": "one Message-ID, two messages",
    "M13": "too large",
    "M14": "escape sequences in a subject",
    "D1": "a full disk",
    "D2": "fsync fails",
    "D3": "read-only, unmounted",
    "D5": "the name exists",
    "D6": "a mail program moves it",
    "D7": "stale files",
    "D8": "4xx",
    "D9": "5xx",
    "D10": "mixed replies",
    "D11": "a drop after the dot",
    "D12": "extensions or the socket are missing",
    "D13": "kill -9, power cut",
    "S1": "the server echoes the password",
    "S3": "argv, environment, core",
    "S4": "a trailing newline",
    "S5": "permissions",
    "S6": "a canary",
    "R1": "no descriptors, no threads",
    "R2": "the clock jumps",
    "R3": "DNS is dead",
    "R4": "10,000 on one host",
    "R5": "the ledger is locked, full, damaged",
    "R6": "the lease is lost",
    "R7": "two daemons",
}
"""TLS, IMAP, POP3, messages, delivery, secrets, resources."""
_IDS = re.compile(r"(?:^|_)([TIPMDSR]\d{1,2})(?=_|$)")


def _tested() -> Iterator[str]:
    """Ids in the names of tests, and of the messages that the routing tests go through."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield from _IDS.findall(node.name)
    for path in (ROOT / "tests").rglob("*.eml"):
        yield path.name.partition("-")[0]


TESTED = frozenset(_tested())


@pytest.mark.parametrize("hazard", CATALOGUE)
def test_every_hazard_has_a_test_named_after_it(hazard: str) -> None:
    assert hazard in TESTED, CATALOGUE[hazard]
