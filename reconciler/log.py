"""The log that every floor writes to.

structlog imports rich for tracebacks whenever rich is installed; no option of structlog prevents
that. Our log shows plain tracebacks, and the import would take a quarter of a second or more of
each start. So rich is hidden while structlog is imported; tables and progress bars import it later.
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
