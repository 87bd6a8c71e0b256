"""How much memory a session takes, whatever the mail: a daemon before and after, as the kernel
counts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.endtoend.deployment import Deployment
from tests.servers import mail
from tests.servers.dovecot import Dovecot

BOUND = 32.0
"""MB beyond the idle daemon."""
SIZES = [4_100_000] * 6 + [30_000_000] + [4_000] * 150


@pytest.mark.parametrize(("protocol", "tls"), [("imap", "implicit"), ("pop3", "none")])
def test_a_session_stays_within_bounds_whatever_the_sizes(
    deployment: Deployment, dovecot: Dovecot, protocol: str, tls: Literal["implicit", "none"]
) -> None:
    small, large = (f"{size}-{protocol}@shop.example" for size in ("small", "large"))
    dovecot.deliver(small, [mail.message(1)])
    dovecot.deliver(large, [mail.message(number, size) for number, size in enumerate(SIZES)])
    deployment.declare("small", small, protocol=protocol, tls=tls, mode="new-keep")
    with deployment.daemon() as daemon:
        daemon.until(
            "a first session",
            lambda: deployment.mail("small") if deployment.maildir("small").exists() else None,
        )
        daemon.condition("small", "Ready", "True")
        place = Path("/proc", str(daemon.process.pid))
        (place / "clear_refs").write_text("5")
        before = _status(place, "VmRSS")
        deployment.declare("large", large, protocol=protocol, tls=tls, mode="new-keep", limit=0)
        daemon.until("all of it", lambda: len(_delivered(deployment)) == len(SIZES))
        daemon.condition("large", "Ready", "True")
        assert _status(place, "VmHWM") - before < BOUND


def _delivered(deployment: Deployment) -> list[Path]:
    return list(deployment.maildir("large").glob("new/*"))


def _status(place: Path, name: str) -> float:
    lines = (place / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))
