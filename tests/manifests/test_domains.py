"""Hosts and domains in any script."""

from __future__ import annotations

import pytest

from reconciler.model.domains import (
    host_to_ascii,
    is_loopback,
    is_neighbour,
    to_ascii,
    to_unicode,
)


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("example.org", "example.org"),
        ("Example.ORG.", "example.org"),
        ("почта.рф", "xn--80a1acny.xn--p1ai"),
        ("ПОЧТА.РФ", "xn--80a1acny.xn--p1ai"),
        ("xn--80a1acny.xn--p1ai", "xn--80a1acny.xn--p1ai"),
        ("localhost", "localhost"),
        ("straße.de", "xn--strae-oqa.de"),
        ("mail_server", "mail_server"),
        ("1.example", "1.example"),
    ],
)
def test_domains(domain: str, ascii_form: str) -> None:
    assert to_ascii(domain) == ascii_form


@pytest.mark.parametrize(
    "domain",
    [
        "",
        ".",
        "a..b",
        "-a.b",
        "a-.b",
        "a b",
        "a" * 64,
        "♥.рф",
        "127.0.0.1",
        "a.1",
        "a.b..",
        "а" * 70 + ".рф",
        "a@b",
        "x." * 127 + "org",
    ],
)
def test_no_domains(domain: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        to_ascii(domain)


def test_unicode_form() -> None:
    assert to_unicode("xn--80a1acny.xn--p1ai") == "почта.рф"
    assert to_unicode("Example.org") == "example.org"
    assert to_unicode("not a domain") == "not a domain"


@pytest.mark.parametrize(
    ("host", "wire"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("почта.рф", "xn--80a1acny.xn--p1ai"),
    ],
)
def test_hosts(host: str, wire: str) -> None:
    assert host_to_ascii(host) == wire


def test_loopback() -> None:
    assert [
        is_loopback(host)
        for host in ("127.0.0.2", "::1", "LocalHost.", "10.0.0.1", "localhost.example.org")
    ] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "::ffff:127.0.0.1",
        "::1%lo",
        "localhost.localdomain",
        "a.localhost",
        "127.0.0.1.",
        "\uff4cocalhost",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020.0.1",
    ],
)
def test_every_spelling_of_loopback(host: str) -> None:
    assert is_loopback(host)
    in_url = f"[{host}]" if ":" in host and "[" not in host else host
    assert is_neighbour(f"http://{in_url}:80/token", "imap.example.org")


@pytest.mark.parametrize(
    ("url", "mail", "is_one"),
    [
        ("http://127.0.0.1:8080/api/v1/collectors/x/clear", "imap.example.org", True),
        ("https://localhost/token", "imap.example.org", True),
        ("http://0.0.0.0:1/", "192.0.2.1", True),
        ("http://[::]:1/", None, True),
        ("http://127.0.0.1:1/token", "127.0.0.1", False),
        ("http://127.0.0.1:1/token", "localhost", False),
        ("https://login.example.org/token", "imap.example.org", False),
        ("http://[", "imap.example.org", False),
        ("https://", "imap.example.org", False),
    ],
)
def test_E7_a_token_endpoint_on_this_machine_of_a_server_elsewhere(
    url: str, mail: str | None, is_one: bool
) -> None:
    assert is_neighbour(url, mail) is is_one
