"""What `fsck` finds out of order."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info"]


class FsckFinding(Struct, frozen=True):
    """`rule` names the kind, `subject` is a collector, a file or a directory, `count` says how many
    of the kind there are. `mendable`: `--mend` puts it in order; `mended`: it has."""

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
