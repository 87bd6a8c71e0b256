"""`run`: the daemon, or one session of every collector."""

from __future__ import annotations

import resource
from pathlib import Path

from reconciler.app.ledger import own_ledger
from reconciler.app.once import run_once
from reconciler.control.ownership import owned
from reconciler.manifests.files import displayed
from reconciler.manifests.walking import DirectoryVanished, list_files
from reconciler.model.errors import ManifestsMissing
from reconciler.model.settings import Settings


def run(settings: Settings, directory: Path, once: bool, allow_empty: bool = False) -> int:
    """The daemon, or with `once` one session of every enabled collector; the exit code. `allow_empty`: where no
    collector at all is found at first, that is meant. Raises CollectorError when it
    cannot start: the state is another process's, the ledger cannot be opened, or there is no such directory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold passwords (hazard S3)
    if displayed(directory.absolute()) != str(directory.absolute()):
        raise ManifestsMissing(f"{displayed(directory)}: the name of the manifests' directory is not UTF-8: rename it")
    try:
        list_files(directory)
    except DirectoryVanished as error:
        raise ManifestsMissing(str(error)) from error
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        if once:
            return run_once(settings, directory, ledger, allow_empty)
        from reconciler.app.daemon import serve  # noqa: PLC0415  # with --once there is no watcher and no web server

        return serve(settings, directory, ledger, allow_empty)
