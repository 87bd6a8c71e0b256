"""What `fsck` finds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info"]


class FsckFinding(Struct, frozen=True):
    """Something that is not in order. `rule` names the kind, `subject` is a collector, a file or a
    directory, `count` says how many there are. `mendable`: `--mend` can fix it; `mended`: it has
    been fixed."""

    severity: Severity
    rule: str
    subject: str
    count: int
    message: str
    mendable: bool = False
    mended: bool = False

    @property
    def open(self) -> bool:
        """Whether somebody has to look at it."""
        return self.severity != "info" and not self.mended
