"""docs/providers.md is what the table says."""

from __future__ import annotations

from reconciler.model.known_providers import PROVIDERS
from tests.replies.page import PAGE, rendered


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == rendered(), "run `python -m tests.replies.page`"


def test_each_provider_has_a_section() -> None:
    page = rendered()
    for provider in PROVIDERS:
        assert f"## {provider.title}\n" in page
        assert f"  provider: {provider.name}\n" in page
