"""A provider in one word out of a fixed list."""

from __future__ import annotations

import pytest

from reconciler.model.provider_classes import CLASSES, provider_class


@pytest.mark.parametrize(
    ("host", "declared", "expected"),
    [
        ("imap.gmail.com", None, "gmail"),
        ("mail.example.org", "yandex", "yandex"),
        ("127.0.0.1", "proton-bridge", "proton-bridge"),
        ("localhost", None, "loopback"),
        ("::1", None, "loopback"),
        ("192.168.1.5", None, "private"),
        ("fd00::5", None, "private"),
        ("mail", None, "private"),
        ("Mail.Lan.", None, "private"),
        ("8.8.8.8", None, "other"),
        ("mail.example.org", None, "other"),
        ("mail.example.org", "no-such-provider", "other"),
    ],
)
def test_the_class_of_a_host(host: str, declared: str | None, expected: str) -> None:
    assert provider_class(host, declared) == expected
    assert expected in CLASSES
