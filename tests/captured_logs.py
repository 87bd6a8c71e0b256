"""What the program logs inside a context, as data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reconciler.log import NAME


class _Capture(logging.Handler):
    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__()
        self._entries = entries

    def emit(self, record: logging.LogRecord) -> None:
        facts = getattr(record, "facts", {})
        entry = {"event": record.getMessage(), "log_level": record.levelname.lower(), **facts}
        if record.exc_info:
            entry["exc_info"] = record.exc_info[1]
        self._entries.append(entry)


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Yield a list that fills with the events, of every level, that are logged inside the context:
    `event`, `log_level` and the facts. They are not shown."""
    logger = logging.getLogger(NAME)
    before = logger.handlers[:], logger.level, logger.propagate
    entries: list[dict[str, Any]] = []
    logger.handlers[:], logger.propagate = [_Capture(entries)], False
    logger.setLevel(logging.DEBUG)
    try:
        yield entries
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
        logger.setLevel(before[1])
