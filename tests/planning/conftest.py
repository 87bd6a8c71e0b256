"""A gap of this version, whichever ones there are."""

from __future__ import annotations

import pytest

from reconciler.manifests import support


@pytest.fixture(autouse=True)
def unsafe_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauth2 is something that cannot be done yet, and not without it."""
    gap = support.Unsupported(("spec", "source", "oauth2"), "not supported yet: use password")
    monkeypatch.setattr(support, "GAPS", (*support.GAPS, gap))
