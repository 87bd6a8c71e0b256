"""Hazard M9: no address leads out of the fixed part of the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.destinations.maildir import Maildir
from reconciler.destinations.maildir.mailbox_paths import MailboxPathTemplate
from reconciler.model.errors import NotSupported
from reconciler.model.outcomes import Refused
from tests.destinations.maildirs import SALES, contents, deliver


@pytest.mark.parametrize(
    "address",
    [
        "../etc@example.org",
        "..@example.org",
        ".@example.org",
        ".hidden@example.org",
        "a/b@example.org",
        "/@example.org",
        "a\\b@example.org",
        "a\0b@example.org",
        "a\nb@example.org",
        "a b@example.org",
        '"a"@example.org',
        "@example.org",
        "a@",
        "a",
        "",
        "a@..",
        "a@.",
        "a@../..",
        "a@exa/mple",
        "a\u202eb@example.org",
        "a\udce9@example.org",
        "\u200b@example.org",
        "x" * 300 + "@example.org",
        "ж" * 128 + "@example.org",
    ],
)
def test_M9_such_an_address_is_refused_and_nothing_is_made(tmp_path: Path, address: str) -> None:
    maildir = Maildir(f"{tmp_path}/mail/{{domain}}/{{local}}", create=True)
    (tmp_path / "mail").mkdir()

    [[outcome]] = deliver(maildir, {"1": b"x"}, [address])

    assert isinstance(outcome, Refused)
    assert "address" in outcome.reason
    assert not outcome.unknown
    assert not maildir.exists(address)
    assert list(tmp_path.rglob("*")) == [tmp_path / "mail"]


@pytest.mark.parametrize(
    "address",
    [
        "o'brien+lists=x@example.org",
        "info@икс.рф",
        "पता@उदाहरण.भारत",
        "用户@例子.广告",
        "a..b@example.org",
        "~a@example.org",
        "{domain}@example.org",
        "%2e%2e@example.org",
        "x" * 255 + "@example.org",
    ],
)
def test_any_script_and_every_harmless_sign_is_allowed(tmp_path: Path, address: str) -> None:
    maildir = Maildir(f"{tmp_path}/{{domain}}/{{local}}", create=True)
    deliver(maildir, {"1": b"x"}, [address])
    local, domain = address.split("@")
    assert contents(tmp_path / domain / local).total() == 1
    assert maildir.exists(address)


@pytest.mark.parametrize(
    "link", ["example.org", *(f"example.org/a{below}" for below in ("", "/tmp", "/new", "/cur"))]
)
def test_M9_links_below_the_fixed_part_are_not_followed(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    for name in ("a", "tmp", "new", "cur"):
        (outside / name).mkdir(parents=True)
    place = tmp_path / "mail" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    maildir = Maildir(f"{tmp_path}/mail/{{domain}}/{{local}}", create=True)

    assert isinstance(deliver(maildir, {"1": b"x"}, ["a@example.org"])[0][0], Refused)
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_links_in_the_fixed_part_are_the_administrators(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mail").symlink_to("disk")
    deliver(Maildir(f"{tmp_path}/mail/{{local}}", create=True), {"1": b"x"})
    assert contents(tmp_path / "disk" / "sales").total() == 1


@pytest.mark.parametrize(
    ("template", "root", "parts"),
    [
        ("/var/mail/{domain}/{local}", "/var/mail", ("икс.рф", "sales")),
        ("/var/mail/{domain}/{local}/Maildir", "/var/mail", ("икс.рф", "sales", "Maildir")),
        ("/srv/x-{local}-y//./mail/", "/srv", ("x-sales-y", "mail")),
        ("/{local}@{domain}", "/", ("sales@икс.рф",)),
        ("/var/mail/all/", "/var/mail/all", ()),
        ("/var/{other}/{local}", "/var/{other}", ("sales",)),
    ],
)
def test_the_fixed_part_ends_before_the_first_placeholder(
    template: str, root: str, parts: tuple[str, ...]
) -> None:
    place = MailboxPathTemplate(template).mailbox(SALES)
    assert (place.root, place.parts) == (root, parts)


def test_a_template_cannot_lead_out_itself() -> None:
    with pytest.raises(NotSupported, match="after a placeholder"):
        MailboxPathTemplate("/var/mail/{local}/../../etc")
