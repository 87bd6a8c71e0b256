"""Logs: one line for each event, JSON or text, UTC, nothing that acts on a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from reconciler.cli.log_output import _Sink, configure
from reconciler.log import log
from reconciler.model.settings import LogFormat
from tests.cli.samples import HOSTILE


def fail() -> None:
    raise ValueError(HOSTILE)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure(None, "info")

    log.info("session", collector="sales", collected=12, title="Почта")

    line = capsys.readouterr().err
    logged = json.loads(line)
    assert list(logged) == ["timestamp", "level", "event", "collector", "collected", "title"]
    assert logged["timestamp"].endswith("Z")
    assert (logged["event"], logged["collected"]) == ("session", 12)
    assert "Почта" in line


def test_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure(None, "info")

    log.warning("session", collector="sales", error='a "b" c', empty="", reasons={"too-large": 1})

    when, rest = terminal.getvalue().split(" ", 1)
    assert when.endswith("Z")
    assert rest == (
        '\x1b[33mwarning \x1b[0m session collector=sales error="a \\"b\\" c" empty="" '
        "reasons=\"{'too-large': 1}\"\n"
    )


def test_what_the_log_writes_to_does_nothing_when_the_interpreter_ends() -> None:
    """Python 3.13 says "Exception ignored in" when what it calls then needs a module that is
    gone."""
    assert not hasattr(_Sink, "__del__")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_M14_what_a_server_says_stays_in_its_line(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    configure(log_format, "info")

    log.info(HOSTILE, **{HOSTILE: HOSTILE})
    logging.getLogger("imapclient").error("%s", HOSTILE)

    written = capsys.readouterr().err
    assert len(written.splitlines()) == 2
    assert written.replace("\n", "").isprintable()


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure("text", "warning")

    log.info("quiet")
    log.error("loud")

    written = capsys.readouterr().err
    assert "quiet" not in written
    assert "loud" in written


def test_other_libraries_from_warning_on_in_the_same_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("json", "debug")

    for library in ("uvicorn.error", "alembic.runtime.migration", "imapclient.imaplib"):
        logging.getLogger(library).info("chatter")
        logging.getLogger(library).warning("trouble %d", 1)

    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(found["logger"], found["event"], found["level"]) for found in logged] == [
        ("uvicorn.error", "trouble 1", "warning"),
        ("alembic.runtime.migration", "trouble 1", "warning"),
        ("imapclient.imaplib", "trouble 1", "warning"),
    ]


@pytest.mark.parametrize("foreign", [True, False])
def test_tracebacks(capsys: pytest.CaptureFixture[str], foreign: bool) -> None:
    configure("text", "info")
    logger = logging.getLogger("x") if foreign else log

    try:
        fail()
    except ValueError:
        logger.exception("defect")

    written = capsys.readouterr().err
    lines = written.splitlines()
    assert "defect" in lines[0]
    assert lines[1] == "    Traceback (most recent call last):"
    assert not [line for line in lines[1:] if not line.startswith("    ")]
    assert "\x1b" not in written


@pytest.mark.parametrize("form", ["text", "json"])
def test_priorities_for_the_journal(form: str) -> None:
    """systemd sets JOURNAL_STREAM; the number in front of a line is taken off by the journal."""
    script = (
        "import sys; from reconciler.cli.log_output import configure; from reconciler.log "
        "import log;"
        f"configure({form!r}, 'debug');"
        "log.debug('d'); log.info('i'); log.warning('w'); log.error('e', note='a\\nb')"
    )
    for variable, begins in (
        ("8:1", ["<7>", "<6>", "<4>", "<3>"]),
        ("", ["{"] * 4 if form == "json" else ["20"] * 4),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "JOURNAL_STREAM": variable},
            check=True,
            capture_output=True,
            text=True,
        )
        lines = done.stderr.splitlines()
        assert len(lines) == 4
        assert all(line.startswith(begin) for line, begin in zip(lines, begins, strict=True)), lines


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, variable: dict[str, str]
) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure(None, "info")

    log.error("session")

    assert "\x1b" not in terminal.getvalue()


def test_M14_a_pipe_that_nobody_reads_stops_nobody_and_what_is_dropped_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w", closefd=False) as pipe:
            monkeypatch.setattr(sys, "stderr", pipe)
            configure("json", "info")
            for number in range(5000):
                log.info("session", number=number, text="x" * 300)
            log.warning("long", text="y" * 200_000)
            os.set_blocking(reading, False)
            taken = b""
            with suppress(BlockingIOError):
                while piece := os.read(reading, 1 << 16):
                    taken += piece
            log.info("after")
            after = os.read(reading, 1 << 16).decode().splitlines()
    finally:
        os.close(reading)
        os.close(writing)
    lines = taken.decode().splitlines()
    assert [json.loads(line)["number"] for line in lines[:100]] == list(range(100))
    told = [json.loads(line) for line in after if line.startswith("{")]
    assert told[0]["event"] == "log lines were dropped, for nobody read"
    assert told[0]["count"] + len(lines) in {5001, 5002}  # the one that was cut counts as both
    assert told[1]["event"] == "after"
