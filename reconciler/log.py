"""The log that every floor writes to: events with facts, over the standard library's logging.

`cli.log_output` decides how they are shown; until it has, logging's own defaults hold.
"""

from __future__ import annotations

import logging
from typing import Any

NAME = "mailcollector"
"""The name of our logger among those of the libraries."""


class Log:
    """Writes events: what happened, in a few fixed words, and the facts of this time by name."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **facts: Any) -> None:
        self.log(logging.DEBUG, event, **facts)

    def info(self, event: str, /, **facts: Any) -> None:
        self.log(logging.INFO, event, **facts)

    def warning(self, event: str, /, **facts: Any) -> None:
        self.log(logging.WARNING, event, **facts)

    def error(self, event: str, /, **facts: Any) -> None:
        self.log(logging.ERROR, event, **facts)

    def exception(self, event: str, /, **facts: Any) -> None:
        """Write an error with the traceback of the exception that is being handled."""
        self.log(logging.ERROR, event, exc_info=True, **facts)

    def log(
        self,
        level: int,
        event: str,
        /,
        *,
        exc_info: BaseException | bool | None = None,
        **facts: Any,
    ) -> None:
        """Write an event of this level. `exc_info`: the exception whose traceback is shown."""
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=exc_info, extra={"facts": facts})


log = Log(logging.getLogger(NAME))
