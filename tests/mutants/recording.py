"""A plugin of pytest: which test enters which function of the program, and how long it takes.

`-p tests.mutants.recording` with RECORD_TO, a directory, in the environment: each process of the
run writes one file of JSON there, of the tests that passed: for each its seconds of processor time,
whether it asks for a mail server, and its functions. A function is `path:name`, its path from
RECORD_ROOT on. What other processes than pytest's own do is not seen. A test that is deselected
gets null."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

_found: dict[str, tuple[float, bool, list[str]] | None] = {}
_unpassed: set[str] = set()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fixtures count as well: what only they do is tested by whoever asks for them."""
    entered: dict[int, CodeType] = {}

    def note(frame: FrameType, _event: str, _argument: Any) -> None:
        entered[id(frame.f_code)] = frame.f_code

    began = _processor_time()
    threading.settrace(note)
    sys.settrace(note)
    yield
    sys.settrace(None)
    threading.settrace(None)
    root = f"{os.environ['RECORD_ROOT']}/"
    functions = {
        f"{code.co_filename.removeprefix(root)}:{code.co_qualname}"
        for code in entered.values()
        if code.co_filename.startswith(f"{root}reconciler/")
    }
    if item.nodeid not in _unpassed:
        served = not {"dovecot", "postfix"}.isdisjoint(getattr(item, "fixturenames", ()))
        _found[item.nodeid] = round(_processor_time() - began, 3), served, sorted(functions)


def _processor_time() -> float:
    """Return the seconds that this process and those that it waited for have used: a busy machine
    does not change them."""
    return sum(os.times()[:4])


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    _found.update((item.nodeid, None) for item in items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not report.passed:
        _unpassed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    (Path(os.environ["RECORD_TO"]) / f"{os.getpid()}.json").write_text(json.dumps(_found))
