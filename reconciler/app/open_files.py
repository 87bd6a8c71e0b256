"""How many files the process may open at once."""

from __future__ import annotations

import resource

from reconciler.log import log
from reconciler.model.errors import CollectorError

FEWEST = 24
"""The least number of files that may be open at once. Below it the daemon does not start: with one
collector it has up to 22 open, and below 17 the API answers nobody."""
FEW = 256
"""The number of open files below which a warning is logged. A session needs two or three, a client
of the API one."""


class TooFewFiles(CollectorError):
    """The system lets this process open too few files."""

    reason = "TooFewFiles"


def raise_file_limit() -> None:
    """Allow as many open files as the system grants. Each connection that waits for mail is one,
    and most programs start with a limit of 1024 (hazard R1).

    Below `FEWEST` the API would answer nobody, and sessions would fail: raises TooFewFiles.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY or most >= FEW:
        return
    if most < FEWEST:
        raise TooFewFiles(
            f"only {most} files may be open at once, and mailcollector needs at least {FEWEST}, "
            f"better {FEW} and more: raise the hard limit (`ulimit -Hn`, LimitNOFILE= of systemd, "
            "or --ulimit nofile= of a container)"
        )
    log.warning(
        "few files may be open at once: sessions and clients of the API will have to wait",
        limit=most,
        better=FEW,
    )
