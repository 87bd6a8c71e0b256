"""`run`: the daemon, or one session of every collector."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.app.core_dumps import undumpable
from reconciler.app.ledger_access import own_ledger
from reconciler.app.memory_release import returning
from reconciler.app.run_once import run_once
from reconciler.control.state_ownership import owned
from reconciler.log import log
from reconciler.manifests.directory_walk import DirectoryVanished, list_files
from reconciler.manifests.manifest_files import displayed
from reconciler.model.errors import ManifestsMissing
from reconciler.model.manifest_policy import allowed
from reconciler.model.settings import Settings
from reconciler.wire.listing_budget import LISTINGS


def run(settings: Settings, directory: Path, once: bool, allow_empty: bool = False) -> int:
    """The daemon, or with `once` one session of every enabled collector; the exit code.
    `allow_empty`: where no collector at all is found at first, that is meant. Raises CollectorError
    when it cannot start: the state is another process's, the ledger cannot be opened, or there is
    no such directory."""
    undumpable()
    returning()
    if not allowed().file:
        log.info(
            "no policy: whoever writes manifests acts as this user",
            user=os.geteuid(),
            see="--policy FILE",
        )
    if displayed(directory.absolute()) != str(directory.absolute()):
        raise ManifestsMissing(
            f"{displayed(directory)}: the name of the manifests' directory is not UTF-8: rename it"
        )
    try:
        list_files(directory)
    except DirectoryVanished as error:
        raise ManifestsMissing(str(error)) from error
    with owned(settings.state_dir), own_ledger(settings) as ledger:
        if once:
            LISTINGS.take_time()
            return run_once(settings, directory, ledger, allow_empty)
        # with --once there is no watcher and no web server
        from reconciler.app.serve_daemon import serve  # noqa: PLC0415

        return serve(settings, directory, ledger, allow_empty)
