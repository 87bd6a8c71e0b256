"""Fuzzing of everything that reads manifests.

Real manifests are changed at random: bits, parts, values that YAML readers disagree about,
encodings, line ends, names. The results are validated, reported, read by the daemon, recorded,
planned, shown and edited. Each must be accepted or have a diagnostic; anything else is a defect.

`python -m tests.manifests.fuzz --seconds 600` runs for that time in several processes and keeps the
files that fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from multiprocessing import Process
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reconciler.cli.verbs import plan as plan_verb
from reconciler.control.admission import Admission
from reconciler.control.decision_recorder import Decision, DecisionRecorder
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import provider_limits
from reconciler.control.last_good import recall_last_good
from reconciler.control.manifest_log import DiagnosticsLog
from reconciler.control.observation import ManifestDirectory
from reconciler.control.offline_views import propose, recall_in_force
from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.control.status_board import StatusBoard
from reconciler.log import NAME
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor, NotDeclared
from reconciler.manifests.editing.yaml_patch import (
    MISSING,
    Setting,
    Unpatchable,
    apply_settings,
    typed_yaml,
)
from reconciler.manifests.reports import report_formats
from reconciler.manifests.validation import validate
from reconciler.planning.reconcile_plan import plan
from reconciler.web.metrics.metrics_resource import draw
from tests.control.doubles import MemoryRegistry
from tests.manifests.corpus import INVALID, VALID
from tests.manifests.hostile import BYTES, HEAVY

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that control a terminal or that cannot be encoded."""
OURS = {"internal", "model"}
"""Rules that report internal errors."""
NOW = datetime(2026, 11, 28, tzinfo=UTC)
LONGEST = 3.0
"""The allowed processor time for one file in seconds. Large files may take longer."""
GOOD = VALID[0].parent / "minimal.yaml"

SCALARS = [
    b"0x" + b"f" * 300,
    b"0o777",
    b"0777",
    b"08",
    b"0b1011",
    b"1_000",
    b"190:20:30",
    b"12:30:45",
    b"2026-01-01",
    b"2001-12-14t21:59:43.10-05:00",
    b"1e400",
    b"-1e400",
    b".inf",
    b"-.Inf",
    b".nan",
    b"-0",
    b"+1",
    b"1.",
    b".5",
    b"9" * 400,
    b"9223372036854775808",
    b"18446744073709551616",
    b"1e18",
    b"NaN",
    b"yes",
    b"No",
    b"on",
    b"~",
    b"null",
    b"Null",
    b"=",
    b"<<",
    b"!!python/object/apply:os.system [id]",
    b"!!binary aGFsbG8=",
    b"!!set {a, b}",
    b"!!omap [a: 1]",
    b"!!float 1",
    b"!!int 0x1f",
    b"!!timestamp 2026-01-01",
    b"!<tag:yaml.org,2002:str> x",
    b"!e!x y",
    b"&a x",
    b"*a",
    b"*b",
    b'"\\x00"',
    b'"\\ud800"',
    b'"\\U0010ffff"',
    b'"\\uFEFF"',
    b'"\\L\\P\\N\\_"',
    b'"\\e[2J"',
    b'"\\u202e"',
    b"'it''s'",
    b"|+\n  a\n\n",
    b">-\n  b\n",
    b"|9\n x",
    b"[]",
    b"{}",
    b"[[[[]]]]",
    b"{a: {a: {a: {}}}}",
    b"? x",
    b"- x",
    b"%",
    b"@x",
    b"`x`",
    b"#",
    b"x #y",
    "Почта".encode(),
    "икс.рф".encode(),
    b"xn--zckzah",
    b"xn--",
    b"xn--a",
    "\u0130".encode(),
    "\u00df.example".encode(),
    "a\u0301".encode(),
    b"a" * 70_000,
    b"[" * 100,
    b"{" * 100,
    b"1" * 5000,
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbf\xbe",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"-rf",
    b"../../etc/passwd",
    b"/dev/zero",
    b"5s",
    b"99999999999999999999d",
    b"1h1h",
    b"0s",
    b"-5m",
    b"1d24h",
    b"5mib",
    b"1e3MiB",
    b"0",
    b"-1",
    b"1.5",
    b"999999999999GiB",
    b"::1",
    b"127.1",
    b"0x7f.1",
    b"1.2.3.4.",
    b"[::1]",
    b"fe80::1%eth0",
    b"::ffff:127.0.0.1",
    b"a..b",
    b".",
    b"-",
    b"a@b@c",
    b"@",
    b"a@",
    b'"a b"@c',
    b"*",
    b"**",
    b"Lists/*/*",
    b"\\Junk",
    b"{domain}",
    b"{local}",
    b"{x}",
    b"{",
    b"/{domain}/../{local}",
    b"sha256:",
    b"sha256:" + b"0g" * 32,
    b"00:" * 31 + b"00",
]
LINES = [
    b"---",
    b"...",
    b"--- !x",
    b"--- |",
    b"%YAML 1.1",
    b"%YAML 1.3",
    b"%YAML 9.9",
    b"%TAG ! tag:x,2000:",
    b"%TAG !e! tag:e,2000:",
    b"%FOO",
    b"<<: *a",
    b"<<: {a: 1}",
    b"? [a, b]\n: c",
    b"? {a: b}\n: c",
    b"? *a\n: 1",
    b"a: &a [*a]",
    b"a: &a {<<: *a}",
    b"spec: {}",
    b"spec:",
    b"kind: Destination",
    b"kind: Template",
    b"kind: [MailCollector]",
    b"kind: Policy",
    b"apiVersion: mailcollector/v2",
    b"apiVersion: mailcollector.dev/v1",
    b"metadata: {name: x, name: x}",
    b"metadata: {name: [x]}",
    b"metadata: x",
    b"\t",
    b"\ta: b",
    b"  - - - - x",
    b"- - - ? : -",
    b"a: b: c",
    b'"a": "b" c',
    b"&x &y a: b",
    b"!a !b c",
    b"# -*- coding: latin-1 -*-",
    b"# yaml-language-server: $schema=\x1b[2J",
    b"\xef\xbb\xbf",
    b"\x00",
    b"key: |\n\n\n",
    b"{a, b: c, [d]: e}",
    b"[a, b: c]",
]
NAMES = [
    b"-rf.yaml",
    b"--help.yaml",
    b"a b.yaml",
    b"a\nb.yaml",
    b"a\x1b[2Jb.yaml",
    b"\xff.yaml",
    b"x" * 250 + b".yaml",
    b"%s%n.yml",
    b"$(id).yaml",
    b"A.yaml",
    "\u202e.yaml".encode(),
    "\ud55c.yml".encode(),
    b"a.yaml.yaml",
    b".yaml",
    b"a~.yaml",
    b"'.yaml",
    b'".yaml',
    b"\\.yaml",
    b"a\\nb.yaml",
    b"*.yaml",
    b"?.yml",
    b"\xed\xa0\x80.yaml",
]
KEYS = [
    b"spec",
    b"source",
    b"host",
    b"port",
    b"password",
    b"oauth2",
    b"file",
    b"env",
    b"command",
    b"value",
    b"name",
    b"labels",
    b"annotations",
    b"from",
    b"overridable",
    b"folders",
    b"collect",
    b"interval",
    b"limit",
    b"mode",
    b"push",
    b"maxMessageSize",
    b"recipient",
    b"forwardTo",
    b"detect",
    b"aliases",
    b"mailboxes",
    b"destination",
    b"maildir",
    b"path",
    b"lmtp",
    b"smtp",
    b"socket",
    b"default",
    b"tls",
    b"caFile",
    b"fingerprint",
    b"username",
    b"address",
    b"title",
    b"enabled",
    b"provider",
    b"tokenUrl",
    b"clientSecret",
    b"refreshToken",
    b"kind",
    b"apiVersion",
    b"metadata",
    b"to",
    b"header",
    b"stripPrefix",
    b"timeout",
    b"protocol",
]
ODD = [
    b"\0",
    b"\x85",
    b"\xff",
    b"\t",
    b"\r",
    b"\x1b",
    b"\x7f",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa9",
    *(bytes([byte]) for byte in b":-&*!|%?{]\"'"),
]
ENCODINGS = ["utf-16", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "latin-1"]
_VALUE = re.compile(rb"(?<=: )[^\n{}\[\],]+|(?<=- )[^\n]+")
_KEY = re.compile(rb"(?<![A-Za-z0-9])[A-Za-z0-9]{1,40}(?=:)")


class Mutator:
    """A source of changed manifests. The same seed gives the same ones."""

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed)
        self.corpus = [path.read_bytes() for path in VALID]
        self.corpus += [path.read_bytes() for path in INVALID if path.is_file()]
        self.corpus += [
            content
            for name, (content, _) in BYTES.items()
            if name not in HEAVY and len(content) < 1 << 15
        ]
        self._ways: Sequence[Callable[[bytes], bytes]] = (
            self._flip,
            self._cut,
            self._double,
            self._splice,
            self._value,
            self._value,
            self._value,
            self._key,
            self._key,
            self._line,
            self._line,
            self._truncate,
            self._byte,
            self._unindent,
            self._repeat,
            self._drop_line,
        )

    def content(self) -> bytes:
        data = self.random.choice(self.corpus)
        for _ in range(self.random.choice((1, 1, 2, 3, 5, 9))):
            data = self.random.choice(self._ways)(data)
        return self._encoded(data)[: 1 << 17]

    def name(self) -> bytes:
        return self.random.choice(NAMES) if self.random.random() < 0.1 else b"fuzzed.yaml"

    def setting(self) -> tuple[tuple[str, ...], str]:
        """Return a field and a text to set it to."""
        depth = self.random.choice((1, 2, 2, 3, 3, 4))
        keys = tuple(self.random.choice(KEYS).decode() for _ in range(depth - 1))
        return ("spec", *keys), self.random.choice(SCALARS).decode("utf-8", "surrogateescape")

    def _at(self, data: bytes) -> int:
        return self.random.randrange(len(data) + 1)

    def _piece(self, data: bytes) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + self.random.choice((1, 3, 10, 50, 400)))

    def _flip(self, data: bytes) -> bytes:
        changed_bytes = bytearray(data)
        for _ in range(self.random.choice((1, 1, 4))):
            if changed_bytes:
                changed_bytes[self.random.randrange(len(changed_bytes))] ^= (
                    1 << self.random.randrange(8)
                )
        return bytes(changed_bytes)

    def _byte(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self.random.choice(ODD) + data[at:]

    def _cut(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + data[end:]

    def _double(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:end] + data[start:end] * self.random.choice((1, 2, 30)) + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self.random.choice(self.corpus)
        joint = self.random.choice((b"", b"\n", b"\n---\n", b"\n...\n", b"\n...\n---\n", b"\n--- "))
        return data[: self._at(data)] + joint + other[self._at(other) :]

    def _truncate(self, data: bytes) -> bytes:
        return data[: self._at(data)]

    def _repeat(self, data: bytes) -> bytes:
        return (data + self.random.choice((b"\n---\n", b"\n", b"\n...\n"))) * self.random.choice(
            (2, 2, 20)
        )

    def _value(self, data: bytes) -> bytes:
        return self._put(data, _VALUE, SCALARS)

    def _key(self, data: bytes) -> bytes:
        return self._put(data, _KEY, KEYS)

    def _put(self, data: bytes, where: re.Pattern[bytes], what: Sequence[bytes]) -> bytes:
        found = list(where.finditer(data))
        if not found:
            return data
        one = self.random.choice(found)
        return data[: one.start()] + self.random.choice(what) + data[one.end() :]

    def _line(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        indent = b" " * self.random.choice((0, 0, 2, 4, 6))
        lines.insert(self.random.randrange(len(lines) + 1), indent + self.random.choice(LINES))
        return b"\n".join(lines)

    def _drop_line(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        del lines[self.random.randrange(len(lines))]
        return b"\n".join(lines)

    def _unindent(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        at = self.random.randrange(len(lines))
        lines[at] = self.random.choice((b" ", b"  ", b"")) + lines[at].lstrip()
        return b"\n".join(lines)

    def _encoded(self, data: bytes) -> bytes:
        match self.random.randrange(40):
            case 0:
                return data.decode("utf-8", "replace").encode(
                    self.random.choice(ENCODINGS), "replace"
                )
            case 1:
                return data.replace(
                    b"\n", self.random.choice((b"\r\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8"))
                )
            case _:
                return data


class Defect(AssertionError):
    """A wrong result for some bytes."""


def ordeal(root: Path, mutator: Mutator, name: bytes, content: bytes) -> None:
    """Run everything that reads manifests over a directory with this file and a valid one. Raises
    the exceptions of internal errors."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    shutil.copy(GOOD, root / "good.yaml")
    path = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
    path.write_bytes(content)
    began = time.process_time()
    told = _validated(root)
    _reconciled(root, told)
    if mutator.random.random() < 0.4:  # that takes longest
        _edited(root, mutator)
    took = time.process_time() - began
    if took > LONGEST * max(1.0, len(content) / (1 << 14)):
        raise Defect(f"{took:.1f} s for {len(content)} octets")


def _validated(root: Path) -> list[Diagnostic]:
    found = validate([root])
    _require_honest(found.diagnostics)
    for name, report in report_formats.REPORTERS.items():
        text = report(found)
        text.encode()
        if OBEYED.search(text):
            raise Defect(f"{name} holds what a terminal obeys")
    if not found.manifests:
        raise Defect("the good one is not found any more")
    return [one for one in found if one.is_error]


def _require_honest(found: Iterable[Diagnostic]) -> None:
    for one in found:
        if one.rule in OURS:
            raise Defect(f"{one.rule}: {one.message}")
        if len(one.message) + len(one.path) > 6_000:
            raise Defect(f"a diagnostic of {len(one.message)} characters")


def _reconciled(root: Path, told: list[Diagnostic]) -> None:
    """Do the daemon's work: read, decide, record, plan, report and show. Then repeat it from the
    ledger's records."""
    registry, directory = MemoryRegistry(), ManifestDirectory(root)
    look = directory.observe()
    _require_honest(look.diagnostics)
    difference = {
        (one.file, one.rule, one.line) for one in told if one.rule != "no-destination"
    } ^ {
        (one.file, one.rule, one.line)
        for one in look.diagnostics
        if one.is_error and one.rule != "no-destination"
    }
    if difference:
        raise Defect(f"`validate` and the daemon tell different errors: {difference}")
    recorder = DecisionRecorder(registry)
    recorder.recall()
    decision = recorder.decide(look, NOW)
    _require_honest(decision.observation.diagnostics)
    for good in registry.last_good():
        json.dumps(good.text).encode()
        good.text.encode()
    if recall_last_good(registry.last_good()).keys() != decision.desired.good.keys():
        raise Defect("what was recorded is not what is recalled")
    made = plan(decision.desired, {})
    DiagnosticsLog().log_changes(decision.observation, decision.desired)
    proposal = propose(ManifestDirectory(root), root, recall_in_force(registry))
    "\n".join(plan_verb.plan_lines(replace(proposal, plan=made), NOW)).encode()
    json.dumps(plan_verb._plain(proposal)).encode()
    if proposal.plan.changes:
        raise Defect(f"what is in force would be changed by itself: {proposal.plan.count()}")
    asyncio.run(_shown(decision))


async def _shown(decision: Decision) -> None:
    board = StatusBoard(Clock())
    board.declare(decision.desired, dict.fromkeys(decision.versions, 1), None)
    shown = board.collectors()
    if missing := set(decision.desired.collectors) - {
        one.metadata.name for one in shown if one.spec
    }:
        raise Defect(f"not shown: {missing}")
    for one in shown:
        one.model_dump_json(by_alias=True)
    counts = Admission(1, provider_limits).counts()
    diagnostics = decision.observation.diagnostics
    draw(
        ServiceSnapshot(shown, diagnostics, board.figures, counts, 0, NOW, trouble=False),
        lambda: None,
        "all",
        "",
    )


def _edited(root: Path, mutator: Mutator) -> None:
    """Run each verb on each collector. The valid one must stay as it is."""
    for name in ManifestEditor(root).names()[:4]:
        for edit in _edits(mutator):
            _attempt(lambda name=name, edit=edit: ManifestEditor(root).change(name, edit))  # type: ignore[misc]
        before = {one: _own(root, one) for one in ManifestEditor(root).names() if one != name}
        _attempt(lambda name=name: ManifestEditor(root).remove(name))  # type: ignore[misc]
        if any(_own(root, one) != own for one, own in before.items() if own is not None):
            raise Defect(f"the removal of {name} changed another one")
    _attempt(lambda: ManifestEditor(root).add("added", GOOD.read_bytes()))


def _edits(mutator: Mutator) -> Iterator[Callable[[str], str]]:
    for value in (False, True):
        yield lambda own, value=value: apply_settings(own, [Setting(("spec", "enabled"), value)])  # type: ignore[misc]
    for _ in range(2):
        keys, text = mutator.setting()
        yield lambda own, keys=keys, text=text: apply_settings(
            own, [Setting(keys, typed_yaml(text))]
        )  # type: ignore[misc]
        yield lambda own, keys=keys: apply_settings(own, [Setting(keys, MISSING)])  # type: ignore[misc]


def _own(root: Path, name: str) -> str | None:
    try:
        return ManifestEditor(root).declared(name).own.strip().strip("-.").strip()
    except EditRefused:
        return None


def _attempt(edit: Callable[[], Any]) -> None:
    try:
        edit()
    except (EditRefused, NotDeclared, Unpatchable):
        pass
    except OSError as error:
        if error.strerror is None:
            raise


def silenced() -> None:
    """Discard the log, which other tests check."""
    logging.getLogger(NAME).disabled = True


# By hand


def _work(seed: str, end: float, keep: Path) -> None:
    silenced()
    mutator, count = Mutator(seed), 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        while time.monotonic() < end:
            name, content = mutator.name(), mutator.content()
            count += 1
            try:
                ordeal(Path(directory) / "m", mutator, name, content)
            except Exception as defect:  # noqa: BLE001  # whatever comes is what is looked for
                last = traceback.extract_tb(defect.__traceback__)[-1]
                place = f"{last.filename}:{last.lineno}"
                print(
                    f"{seed} {count}: {type(defect).__name__} {str(defect)[:200]} at {place}",
                    flush=True,
                )
                told = "".join(traceback.format_exception(defect))
                (keep / f"{seed}-{count}.yaml").write_bytes(content)
                (keep / f"{seed}-{count}.txt").write_text(f"{name!r}\n{told}", errors="replace")
    print(f"{seed}: {count} files", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzzed")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    workers = [
        Process(target=_work, args=(f"{options.seed}.{number}", end, options.keep))
        for number in range(options.processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return any(options.keep.glob("*.yaml"))


if __name__ == "__main__":
    sys.exit(main())
