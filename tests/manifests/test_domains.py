"""Hosts and domains in every script."""

from __future__ import annotations

import pytest

from reconciler.manifests.domains import host_to_ascii, is_loopback, to_ascii, to_unicode


@pytest.mark.parametrize(("domain", "ascii_form"), [
    ("example.org", "example.org"), ("Example.ORG.", "example.org"), ("почта.рф", "xn--80a1acny.xn--p1ai"),
    ("ПОЧТА.РФ", "xn--80a1acny.xn--p1ai"), ("xn--80a1acny.xn--p1ai", "xn--80a1acny.xn--p1ai"),
    ("localhost", "localhost"), ("straße.de", "xn--strae-oqa.de"), ("mail_server", "mail_server"),
    ("1.example", "1.example"),
])
def test_domains(domain: str, ascii_form: str) -> None:
    assert to_ascii(domain) == ascii_form


@pytest.mark.parametrize("domain", ["", ".", "a..b", "-a.b", "a-.b", "a b", "a" * 64, "♥.рф", "127.0.0.1", "a.1",
                                    "a.b..", "а" * 70 + ".рф", "a@b", "x." * 127 + "org"])
def test_no_domains(domain: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        to_ascii(domain)


def test_unicode_form() -> None:
    assert to_unicode("xn--80a1acny.xn--p1ai") == "почта.рф"
    assert to_unicode("Example.org") == "example.org"
    assert to_unicode("not a domain") == "not a domain"


@pytest.mark.parametrize(("host", "wire"), [("127.0.0.1", "127.0.0.1"), ("2001:DB8::1", "2001:db8::1"), ("почта.рф",
                                            "xn--80a1acny.xn--p1ai")])
def test_hosts(host: str, wire: str) -> None:
    assert host_to_ascii(host) == wire


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.2", "::1", "LocalHost.", "10.0.0.1", "localhost.example.org")] == [
        True, True, True, False, False]
