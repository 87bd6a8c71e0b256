"""Address lists and for clauses: what is read, what is given up, and what never happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.mail.addresses import (
    Address,
    a_label,
    addresses,
    comparison_form,
    for_clause,
    quoted,
    u_label,
)


def read(value: str) -> list[str]:
    """The addresses, and in brackets what is none."""
    return [str(each) if isinstance(each, Address) else f"[{each}]" for each in addresses(value)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b", ["a@b"]),
        ("<a@b>", ["a@b"]),
        ('Foo <a@b>, "x, y@z" <c@d>', ["a@b", "c@d"]),
        ("G: a@b, <c@d>;, e@f", ["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", []),
        ("", []),
        ("foo", []),
        ("<@r1,@r2:u@x>", ["u@x"]),
        ('"a b"@x.y', ['"a b"@x.y']),
        ('"a\\"b\\\\"@x', ['"a\\"b\\\\"@x']),
        ("a (c) @ (d) x.y (e)", ["a@x.y"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("a@[IPv6:::1]", ["a@[ipv6:::1]"]),
        ('john."q p".x@y', ['"john.q p.x"@y']),
        ("a@b c@d", ["a@b", "c@d"]),
        ("mailto:a@b", ["a@b"]),
        ("a@b@c", ["[a@b@c]"]),
        ("a@b foo", ["[a@b foo]"]),
        ("Foo a@b", ["[Foo a@b]"]),
        ("<a b@c>", ["[a b@c]"]),
        ("a@", ["[a@]"]),
        ("@a", ["[@a]"]),
        ("a@x(c)y", ["[a@x y]"]),
        ('a"b"@c', ["ab@c"]),
        ("a\\ b@c", ["[a\\ b@c]"]),
        ("(a <b@c>", ["b@c"]),
        ("a) <b@c>", ["b@c"]),
        ('"a <b@c>', ["b@c"]),
        ("<b@c", ["b@c"]),
        ("b@c>", ["[b@c>]"]),
        ("<a>b@c", ["[>b@c]"]),
        ('"a<b"@c', ['["a<b"@c]']),
        ("a\0b@c", ["[a\\x00b@c]"]),
        ("a\u202eb@c", ["[a\\u202eb@c]"]),
        ("a\u2028b@c", ["[a\\u2028b@c]"]),
        ("a@b\rc", ["[a@b\\rc]"]),
        ("a\udcffb@c", ["[a\\udcffb@c]"]),
        ("x" * 256 + "@y", ["x" * 256 + "@y"]),
        ("x" * 257 + "@y", ["[" + "x" * 80 + "]"]),
        ("й" * 129 + "@y", ["[" + "й" * 80 + "]"]),
        ("a@" + "b" * 256, ["[a@" + "b" * 78 + "]"]),
        ("a@Почта.РФ", ["a@почта.рф"]),
        ("a@XN--80A1ACNY.xn--p1ai", ["a@почта.рф"]),
        ("a@xn--zzzzzz", ["a@xn--zzzzzz"]),
        ("a@b.", ["a@b"]),
        ("=?utf-8?q?x=40y?= <a@b>", ["a@b"]),
        ("کار\u200cخانه@b", ["کار\u200cخانه@b"]),
    ],
)
def test_address_lists(value: str, expected: list[str]) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("from a by b for <x@y>; d", ["x@y"]),
        ("from a by b with E id 1 for x@y; d", ["x@y"]),
        ("from a by b for <x@y> (sender <z@w>) ; d", ["x@y"]),
        ("from for (c@d) by b for <x@y> (for z@w); d", ["x@y"]),
        ("from a by b", []),
        ("from a (for <x@y>) by b", []),
        ("by b for a@b, <c@d> with e@f", ["a@b", "c@d"]),
        ("by b for x@y\twith z@w", ["x@y"]),
        ("from x id 1 for <x@y>", ["x@y"]),
        ("by b for x", []),
        ("by b for", []),
        ("by b for <x>; for <a@b>", []),
        ("by b; for <a@b>", ["a@b"]),
        ("by b FOR <x@y>", ["x@y"]),
    ],
)
def test_for_clauses(value: str, expected: list[str]) -> None:
    assert [str(each) for each in for_clause(value)] == expected


def test_local_parts_compare_in_nfc_and_without_case() -> None:
    assert comparison_form("ЙОД") == comparison_form("й".replace("й", "и\u0306") + "од")
    assert comparison_form("Straße") == comparison_form("STRASSE")
    assert comparison_form("a") != comparison_form("а")


@pytest.mark.parametrize(
    "domain",
    [
        "",
        ".",
        "..",
        "a..b",
        "xn--",
        "-",
        "\ud800",
        "xn--\u0430",
        "a" * 300,
        "й" * 300,
        "\u200d.рф",
        "٠.рф",
        "é\u0301" * 50,
    ],
)
def test_no_domain_is_too_odd_to_compare(domain: str) -> None:
    assert isinstance(a_label(domain), str)
    assert isinstance(u_label(domain), str)


_ODD = st.text(st.sampled_from('ab@<>()"\\,;: .[]\t\r\0йxn-=?\u202e'), max_size=40)


@given(_ODD | st.text(max_size=60))
def test_it_never_raises_nor_invents_a_domain(value: str) -> None:
    for found in [*addresses(value), *for_clause(f"by x for {value}")]:
        if isinstance(found, Address):
            assert f"{found.domain}" in value
            assert found.local
            assert not set("<>\r\n\0") & set(found.local + found.domain)
        else:
            assert found.isprintable()


@given(_ODD.filter(lambda local: local and not set("<>\r\n\0\t\u202e") & set(local)))
def test_what_is_quoted_is_read_back(local: str) -> None:
    (found,) = addresses(f"{quoted(local)}@x")
    assert found == Address(local, "x")
