"""Delivery into Maildirs where nothing fails."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.destinations.maildir import Maildir
from reconciler.destinations.maildir.delivery_names import first_name
from reconciler.model.errors import ConnectionFailed, DestinationUnavailable
from reconciler.model.outcomes import Delivered, Refused
from tests.destinations.maildirs import INBOX, SALES, contents, deliver, message, names


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(f"{tmp_path}/mail/{{domain}}/{{local}}", create=True)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "икс.рф" / "sales"


def test_a_message_arrives_as_it_was_and_nothing_stays_in_tmp(maildir: Maildir, box: Path) -> None:
    staged = maildir.stage(
        message("1"), [b"Subject: \xe9\n\n", b"", b"a\0b\r\n", b"no line end"], [SALES]
    )
    assert staged.size == 28
    assert contents(box, "tmp") == Counter([b"Subject: \xe9\n\na\0b\r\nno line end"])

    [(mail, outcomes)] = maildir.commit([staged])
    assert mail is staged
    assert [type(outcome) for outcome in outcomes] == [Delivered]
    maildir.settle([staged])

    assert contents(box, "new") == Counter([b"Subject: \xe9\n\na\0b\r\nno line end"])
    assert sorted(path.name for path in box.iterdir()) == ["cur", "new", "tmp"]
    assert [path.name for path in (box / "new").iterdir()] == names([outcomes])
    assert contents(box, "tmp") == Counter()


def test_M3_empty_messages_are_messages(maildir: Maildir, box: Path) -> None:
    deliver(maildir, {"1": b"", "2": b""})
    assert contents(box) == Counter([b"", b""])


def test_a_batch_is_delivered_in_order(maildir: Maildir, box: Path) -> None:
    mails = {str(key): b"%d" % key for key in range(maildir.batch_size)}
    outcomes = deliver(maildir, mails)

    assert len(outcomes) == 100
    assert [(box / "new" / one).read_bytes() for one in names(outcomes)] == list(mails.values())
    assert sorted(names(outcomes)) == names(outcomes)  # by UID


def test_each_recipient_gets_a_copy_of_his_own(maildir: Maildir, box: Path, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    recipients = [SALES, "../x@икс.рф", "info@икс.рф", "sales@example.org"]
    [outcomes] = deliver(maildir, {"1": content}, recipients)

    assert [outcome.recipient for outcome in outcomes] == recipients
    assert isinstance(outcomes[1], Refused)
    files = [
        next((tmp_path / "mail" / place / "new").iterdir())
        for place in ("икс.рф/sales", "икс.рф/info", "example.org/sales")
    ]
    assert [file.read_bytes() for file in files] == [content] * 3
    assert {file.stat().st_nlink for file in files} == {1}
    assert len({file.name for file in files}) == 3


def test_two_recipients_may_share_a_maildir(tmp_path: Path) -> None:
    maildir = Maildir(f"{tmp_path}/all", create=True)
    deliver(maildir, {"1": b"x"}, [SALES, "info@икс.рф"])
    assert contents(tmp_path / "all") == Counter([b"x", b"x"])


def test_no_recipient_at_all_still_reads_the_content(maildir: Maildir) -> None:
    staged = maildir.stage(message(), iter([b"ab", b"c"]), [])
    assert staged.size == 3
    assert list(maildir.commit([staged])) == [(staged, ())]


def test_nothing_remains_of_what_was_cut_off(maildir: Maildir, box: Path, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise ConnectionFailed("reset")

    with pytest.raises(ConnectionFailed):
        maildir.stage(message(), broken(), [SALES, "info@икс.рф"])

    assert [path for path in (tmp_path / "mail").rglob("*") if path.is_file()] == []


def test_nothing_remains_of_what_is_discarded(maildir: Maildir, box: Path) -> None:
    staged = [maildir.stage(message(key), [b"x"], [SALES]) for key in "123"]
    maildir.discard(staged)
    maildir.discard(staged)
    assert contents(box, "tmp", "new", "cur") == Counter()


@pytest.mark.parametrize(
    "other",
    [
        message(epoch=2),
        message("2"),
        message(occurrence=1),
        replace(message(), collector="other"),
        replace(message(), folder=replace(INBOX, validity=8)),
        replace(message(), folder=replace(INBOX, name="Sent")),
        replace(message(), folder=replace(INBOX, account=replace(INBOX.account, username="info"))),
    ],
)
def test_names_differ_with_everything_that_tells_messages_apart(other: object) -> None:
    assert first_name(message(), SALES) != first_name(other, SALES)  # type: ignore[arg-type]
    assert first_name(message(), SALES) != first_name(message(), "info@икс.рф")


def test_names_are_the_same_for_ever() -> None:
    assert (
        first_name(message("17"), SALES)
        == "0000000017.e776768f5857cf1c1b55f327a07720410396b491.mailcollector"
    )
    long = first_name(
        replace(message("U" * 70 + "/:,"), folder=replace(INBOX, name="../\udce9" * 99)), "x" * 999
    )
    assert len(long) < 100
    assert set(long) <= set("0123456789abcdefghijklmnopqrstuvwxyz.")


def test_S5_directories_and_files_are_private_whatever_the_umask(
    maildir: Maildir, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        deliver(maildir, {"1": b"x"})
        os.umask(0o077)
        deliver(maildir, {"1": b"x"}, ["info@икс.рф"])
    finally:
        os.umask(before)

    for path in (tmp_path / "mail", *(tmp_path / "mail").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_maildir_is_made_only_where_that_is_meant(tmp_path: Path) -> None:
    maildir = Maildir(f"{tmp_path}/{{domain}}/{{local}}", create=False)
    assert deliver(maildir, {"1": b"x"}) == [
        (Refused(SALES, "there is no such mailbox", unknown=True),)
    ]
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "икс.рф" / "sales").mkdir(parents=True)
    assert names(deliver(maildir, {"1": b"x"}))
    assert contents(tmp_path / "икс.рф" / "sales") == Counter([b"x"])


def test_whether_a_mailbox_exists_is_whether_its_directory_does(
    maildir: Maildir, box: Path, tmp_path: Path
) -> None:
    (tmp_path / "mail").mkdir()
    assert not maildir.exists(SALES)
    box.mkdir(parents=True)
    (box.parent / "file").touch()
    (box.parent / "link").symlink_to(box)

    assert maildir.exists(SALES)
    for address in (
        "Sales@икс.рф",
        "info@икс.рф",
        "file@икс.рф",
        "link@икс.рф",
        "..@икс.рф",
        "sales",
        "@икс.рф",
    ):
        assert not maildir.exists(address)


def test_without_a_root_of_its_own_there_is_no_mailbox_yet(tmp_path: Path) -> None:
    own = Maildir(f"{tmp_path}/mail/{{local}}@{{domain}}", create=True, own_root=True)
    assert not own.exists("a@b.example")
    assert not (tmp_path / "mail").exists()


def test_whether_a_mailbox_exists_cannot_be_told_without_the_root(maildir: Maildir) -> None:
    with pytest.raises(DestinationUnavailable, match="mount it, or make the directory"):
        maildir.exists(SALES)


@pytest.mark.parametrize(("key", "order"), [("7", "0000000007"), ("x7", "0" * 10), ("²", "0" * 10)])
def test_a_file_s_name_begins_with_the_uid_where_there_is_one(key: str, order: str) -> None:
    assert first_name(message(key), SALES).startswith(f"{order}.")
