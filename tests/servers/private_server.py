"""The common part of servers that run privately: a directory of their own, and their log."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self


class PrivateServer:
    """A server that runs inside its context. `name` begins its directory's name."""

    name: ClassVar[str]
    log_file: ClassVar[str]
    root: Path

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix=self.name, dir="/tmp"))
        try:
            self._lay_out()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def ca_file(self) -> Path:
        return self.root / "ca.pem"

    @property
    def log(self) -> str:
        path = self.root / self.log_file
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        raise NotImplementedError

    def _lay_out(self) -> None:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError
