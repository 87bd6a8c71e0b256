"""What `fsck` finds out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` names the kind, `subject` is a collector, a file or a directory, `count` says how many of the kind there
    are. `mendable`: `--mend` puts it in order; `mended`: it has."""

    severity: Severity
    rule: str
    subject: str
    count: int
    message: str
    mendable: bool = False
    mended: bool = False

    @property
    def open(self) -> bool:
        """Somebody has to look at it."""
        return self.severity != "info" and not self.mended
