"""How long an access token is used, by what the server says of it."""

from __future__ import annotations

import pytest

from reconciler.secrets.oauth2.access_tokens import AccessTokens

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600),
        (0.5, 0.5),
        ("3600", 3600),
        (" 3600 ", 3600),
        (1e30, 366 * 86400),
        ("9" * 19, 366 * 86400),
        ("9" * 20, None),
        ("soon", None),
        (None, None),
        ([3600], None),
        (0, None),
        (-5, None),
        (float("nan"), None),
    ],
)
def test_a_token_is_used_as_long_as_the_server_says(said: object, seconds: float | None) -> None:
    found = AccessTokens(lambda: NOW)._expiry(said)
    assert found == (None if seconds is None else NOW + seconds)
