"""Last good manifests, as the ledger keeps them across restarts."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.log import log
from reconciler.model.history import LastGood
from reconciler.planning.declared import Declaration, Key, declaration, parsed


def recall(kept: Iterable[LastGood]) -> dict[Key, Declaration]:
    """As declarations. One that this version no longer accepts is left out, and said so."""
    found: dict[Key, Declaration] = {}
    for good in kept:
        try:
            manifest = parsed(good.kind, good.text)
        except ValueError:
            log.warning("a last good manifest is no longer accepted", kind=good.kind, name=good.name, file=good.file)
            continue
        found[good.kind, good.name] = declaration(manifest, good.file, good.line, good.base)
    return found
