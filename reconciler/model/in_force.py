"""What is in force, and what a plan starts from: the manifests that a daemon runs, or that the
ledger keeps as last good."""

from __future__ import annotations

from typing import Any

from reconciler.model.status import Shown


class ManifestInForce(Shown):
    """A manifest as it last was valid. Secrets that stand in it are hidden; the digests are those
    of the manifest with its secrets."""

    file: str
    line: int
    base: str
    """The directory that its relative paths start at."""
    manifest: dict[str, Any]
    digest: str
    effective_digest: str


class InForce(Shown):
    """The manifests in force. `running` has the digest of what each running collector runs, by
    name; `remembered` how many messages the ledger remembers of each."""

    manifests: tuple[ManifestInForce, ...]
    running: dict[str, str]
    remembered: dict[str, int]


NOTHING_IN_FORCE = InForce(manifests=(), running={}, remembered={})
