"""What is in force: the manifests that a daemon runs, or that the ledger remembers as good. What a
plan starts from."""

from __future__ import annotations

from typing import Any

from reconciler.model.status import Shown


class ManifestInForce(Shown):
    """A manifest as it last was valid. Secrets that stand in it are hidden, so the digests say what
    it really is."""

    file: str
    line: int
    base: str
    """The directory that its relative paths start at."""
    manifest: dict[str, Any]
    digest: str
    effective_digest: str


class InForce(Shown):
    """`running`: the collectors that run, each with the digest of what it runs. `remembered`: how
    many messages the ledger remembers of each collector."""

    manifests: tuple[ManifestInForce, ...]
    running: dict[str, str]
    remembered: dict[str, int]


NOTHING_IN_FORCE = InForce(manifests=(), running={}, remembered={})
