"""Write the log to stderr: text on a terminal, JSON otherwise, times in UTC."""

from __future__ import annotations

import logging
import os
import re
import select
import stat
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from reconciler.cli.readable_text import plain_terminal
from reconciler.log import NAME
from reconciler.model.harmless_text import escape, json_text
from reconciler.model.settings import LogFormat, LogLevel

Event = dict[str, Any]
Render = Callable[[Event], str]
_BARE = re.compile(r"[^\s\"'=]+")
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def configure(log_format: LogFormat | None, level: LogLevel) -> None:
    """Set up the log, and the libraries' logging as its second source, from WARNING on.

    `log_format` None means: text on a terminal, JSON otherwise.
    """
    terminal = sys.stderr.isatty()
    as_text = (log_format or ("text" if terminal else "json")) == "text"
    rendered: Render = _LogText(coloured=terminal and not plain_terminal()) if as_text else _as_json
    if _is_journal():
        rendered = _Prioritized(rendered)
    sink = cast("TextIO", _Sink(lambda count: _dropped(rendered, count)))
    handler = logging.StreamHandler(sink)
    handler.setFormatter(_EventFormatter(rendered))
    threshold = getattr(logging, level.upper())
    logging.getLogger(NAME).setLevel(threshold)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, threshold))
    for library in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "imapclient", "httpx"):
        logging.getLogger(library).setLevel(logging.NOTSET)  # the root's level decides


class _EventFormatter(logging.Formatter):
    """Makes an event of each record: `timestamp`, `level`, `event`, then the facts. An event of a
    library also has its `logger`."""

    def __init__(self, rendered: Render) -> None:
        super().__init__()
        self._rendered = rendered

    def format(self, record: logging.LogRecord) -> str:
        event: Event = {
            "timestamp": _utc(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.name != NAME:
            event["logger"] = record.name
        event |= getattr(record, "facts", {})
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return self._rendered(event)


def _is_journal() -> bool:
    """Return whether stderr goes to the systemd journal (systemd.exec(5), $JOURNAL_STREAM), and not
    to a file or a terminal in its place."""
    if not os.environ.get("JOURNAL_STREAM"):
        return False
    try:
        mode = os.fstat(sys.stderr.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)


class _Prioritized:
    """Puts each line's priority in front of it, as the journal expects (sd-daemon(3))."""

    _PRIORITIES: Mapping[str, int] = {
        "critical": 2,
        "error": 3,
        "exception": 3,
        "warning": 4,
        "info": 6,
        "debug": 7,
    }

    def __init__(self, rendered: Render) -> None:
        self._rendered = rendered

    def __call__(self, event: Event) -> str:
        prefix = f"<{self._PRIORITIES.get(str(event.get('level')), 6)}>"
        return "\n".join(prefix + line for line in self._rendered(event).split("\n"))


class _Sink:
    """Standard error that never blocks. A log that nobody reads (a closed pipe, a full disk, a full
    pipe) must not stop the collecting. Lines that would have to wait are dropped and counted. It is
    not one of io's classes, because those are flushed once more at the interpreter's end."""

    def __init__(self, tell_dropped: Callable[[int], str]) -> None:
        self._tell_dropped = tell_dropped
        self._lock = threading.Lock()
        self._dropped = 0
        self._cut = False
        """Whether the last line was written only in part."""

    def write(self, text: str) -> int:
        with self._lock, suppress(OSError):
            descriptor = _waitable()
            if descriptor is None:
                return sys.stderr.write(text)
            notice = f"{self._tell_dropped(self._dropped)}\n" if self._dropped else ""
            self._put(descriptor, "\n" * self._cut + notice + text)
        return len(text)

    def _put(self, descriptor: int, text: str) -> None:
        """Write as much as can be written without waiting: a pipe that is ready takes a piece of
        this size (pipe(7))."""
        octets = text.encode("utf-8", "backslashreplace")
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        written = 0
        while written < len(octets):
            if not ready.poll(0):
                self._dropped += 1
                self._cut = self._cut or written > 0
                return
            written += os.write(descriptor, octets[written : written + select.PIPE_BUF])
        self._dropped, self._cut = 0, False

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _waitable() -> int | None:
    """Return the descriptor of standard error if writing to it may have to wait for a reader."""
    try:
        descriptor = sys.stderr.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):  # a test's, or closed
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) else None


def _dropped(rendered: Render, count: int) -> str:
    return rendered(
        {
            "timestamp": _utc(datetime.now(UTC)),
            "level": "warning",
            "event": "log lines were dropped, for nobody read",
            "count": count,
        },
    )


def _utc(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _as_json(event: Event) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return json_text({**first, **event}, indent=None)


class _LogText:
    """Formats an event for people: `2026-11-22T22:40:00.123456Z info session collector=sales
    collected=12`. A value is quoted where it needs that."""

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, event: Event) -> str:
        when, level, what = (
            event.pop("timestamp", ""),
            event.pop("level", ""),
            event.pop("event", ""),
        )
        trace = event.pop("exception", "")
        facts = "".join(f" {escape(name)}={self._value(value)}" for name, value in event.items())
        line = f"{when} {self._level(level)} {escape(str(what))}{facts}"
        return "\n    ".join(
            [line, *map(escape, str(trace).splitlines())]
        )  # indented: none can pose as an event

    def _level(self, level: str) -> str:
        padded = f"{level:<8}"
        colour = _COLOURS.get(level)
        return f"{colour}{padded}\x1b[0m" if self._coloured and colour else padded

    def _value(self, value: Any) -> str:
        text = str(value)
        return (
            escape(text) if _BARE.fullmatch(text) else '"' + escape(text.replace('"', '\\"')) + '"'
        )
