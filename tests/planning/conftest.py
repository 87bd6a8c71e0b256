"""A gap of this version, whichever ones there are."""

from __future__ import annotations

import pytest

from reconciler.manifests.checks import unsupported_fields


@pytest.fixture(autouse=True)
def unsafe_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """oauth2 is something that cannot be done yet, and not without it."""
    gap = unsupported_fields.Unsupported(
        ("spec", "source", "oauth2"), "not supported yet: use password"
    )
    monkeypatch.setattr(unsupported_fields, "GAPS", (*unsupported_fields.GAPS, gap))
