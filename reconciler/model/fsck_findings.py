"""The findings of `fsck`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info"]


class FsckFinding(Struct, frozen=True):
    """A problem.

    `rule` is its type, `subject` a collector, file or directory, and `count` the number of cases.
    `mendable` means that `--mend` can fix it, `mended` that it has been fixed.
    """

    severity: Severity
    rule: str
    subject: str
    count: int
    message: str
    mendable: bool = False
    mended: bool = False

    @property
    def open(self) -> bool:
        """Return whether an administrator has to deal with it."""
        return self.severity != "info" and not self.mended
