"""A daemon without mail, as a process: `python -m tests.control.daemon_process MANIFESTS STATE
[stubborn]`.

Its sessions print their collector's name; stubborn ones never look whether they should stop.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from reconciler.cli.log_output import configure
from reconciler.collect.backoff import next_backoff
from reconciler.control import daemon
from reconciler.control.control_service import ControlService
from reconciler.control.session_control import SessionControl
from reconciler.control.state_ownership import owned
from reconciler.model.outcomes import SessionReport
from reconciler.planning.desired_state import DesiredCollector
from tests.control.doubles import MemoryRegistry, report
from tests.control.test_controller import check


def session(collector: DesiredCollector, control: SessionControl) -> SessionReport:
    said = f"{collector.name} {collector.effective.collect.interval}\n"
    os.write(1, said.encode())  # in one piece, whatever other threads say
    if "stubborn" in sys.argv:
        threading.Event().wait()
    return report(datetime.now(UTC), datetime.now(UTC))


@asynccontextmanager
async def unserved(_control: ControlService) -> AsyncIterator[None]:
    yield


if __name__ == "__main__":
    configure("text", "info")
    daemon.GRACE, daemon.END_TIMEOUT = 0.1, 0.1
    daemon.LAST_MOMENT = 0.5 if "stubborn" in sys.argv else 300.0
    with owned(Path(sys.argv[2])):
        parts = daemon.Parts(MemoryRegistry(), session, next_backoff, check, unserved)
        sys.exit(asyncio.run(daemon.run_daemon(Path(sys.argv[1]), parts)))
