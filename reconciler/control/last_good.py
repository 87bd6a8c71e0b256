"""Last good manifests, as the ledger keeps them across restarts."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.log import log
from reconciler.manifests.defect_text import place_of
from reconciler.model.history import LastGood
from reconciler.planning.observed_manifests import Declaration, Key, declare, parse_last_good


def recall_last_good(kept: Iterable[LastGood]) -> dict[Key, Declaration]:
    """Return the ledger's last good manifests as declarations. One that this version no longer
    accepts is left out and logged."""
    found: dict[Key, Declaration] = {}
    for good in kept:
        try:
            manifest = parse_last_good(good.kind, good.text)
            found[good.kind, good.name] = declare(manifest, good.file, good.line, good.base)
        except Exception as error:  # noqa: BLE001
            # one of them keeps none of the others from running
            log.warning(
                "a last good manifest is no longer accepted",
                kind=good.kind,
                name=good.name,
                file=good.file,
                error=place_of(error),
            )
    return found
