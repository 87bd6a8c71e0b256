"""The manifests in force, from which a plan starts: those that a daemon runs, or the last good ones
in the ledger."""

from __future__ import annotations

from typing import Any

from reconciler.model.status import Shown


class ManifestInForce(Shown):
    """The last valid version of a manifest. Its inline secrets are hidden, but the digests include
    them."""

    file: str
    line: int
    base: str
    """The directory of its relative paths."""
    manifest: dict[str, Any]
    digest: str
    effective_digest: str


class InForce(Shown):
    """The manifests in force.

    By collector, `running` has the digest of the running spec and `remembered` the number of
    messages in the ledger.
    """

    manifests: tuple[ManifestInForce, ...]
    running: dict[str, str]
    remembered: dict[str, int]


NOTHING_IN_FORCE = InForce(manifests=(), running={}, remembered={})
