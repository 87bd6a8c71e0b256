"""The log that every floor writes to.

structlog is imported without rich, which it would use, where it is installed, for tracebacks that
we show plainly: to import that takes a tenth of a start.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_hiding = "rich" not in _modules
if _hiding:
    _modules["rich"] = None  # as one that is not installed
try:
    import structlog
finally:
    if _hiding:
        del _modules["rich"]

__all__ = ["log", "structlog"]

log: Any = structlog.get_logger()
