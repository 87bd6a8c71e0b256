"""Dying everywhere: hazards D5, D6, D7, D13. After any crash the next attempt delivers each message
once."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from reconciler.destinations.maildir import Maildir, directories, message_files
from reconciler.destinations.maildir.delivery_names import first_name, second_name
from reconciler.model.outcomes import Delivered
from tests.destinations.maildirs import (
    CHANGING,
    SALES,
    Died,
    Failing,
    contents,
    deliver,
    message,
    names,
)

MAILS = {"1": b"mail 1", "2": b"mail 2"}
RECIPIENTS = [SALES, "info@икс.рф"]
STEPS = 150
"""More than the calls of one batch."""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "sales"


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(f"{tmp_path}/{{local}}", create=True)


@pytest.mark.parametrize("moves", [False, True], ids=["", "and a mail program moves what it sees"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_D13_D6_each_message_once_wherever_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, moves: bool
) -> None:
    failing = Failing(monkeypatch, *CHANGING)
    for step in range(1, STEPS):
        monkeypatch.setattr(directories, "_synced", set())
        root = tmp_path / str(step)
        failing.die(step, after=after)
        recorded, died = _one_life(root)
        failing.heal()
        if moves:
            _read_everything(root)

        maildir = Maildir(f"{root}/{{local}}", create=True)
        deliver(
            maildir, {key: mail for key, mail in MAILS.items() if key not in recorded}, RECIPIENTS
        )

        for local in ("sales", "info"):
            assert contents(root / local) == Counter(MAILS.values()), f"died at call {step}"
            left = [path for path in (root / local / "tmp").iterdir() if path.stat().st_nlink == 1]
            assert left == []
        if not died:
            break
    assert 40 < step < STEPS - 1


def _one_life(root: Path) -> tuple[set[str], bool]:
    """The keys of what the ledger would have recorded, after the batch was committed; and whether
    the process died."""
    recorded: set[str] = set()
    try:
        maildir = Maildir(f"{root}/{{local}}", create=True)
        staged = [
            maildir.stage(message(key), [content], RECIPIENTS) for key, content in MAILS.items()
        ]
        list(maildir.commit(staged))
        recorded = set(MAILS)
        maildir.settle(staged)
    except Died:
        return recorded, True
    return recorded, False


def _read_everything(root: Path) -> None:
    for local in ("sales", "info"):
        if (root / local / "new").is_dir():
            for path in (root / local / "new").iterdir():
                path.rename(root / local / "cur" / f"{path.name}:2,S")


def _committed(maildir: Maildir, content: bytes = b"mail") -> Path:
    """Delivered, but never recorded: the path in `new`."""
    [[outcome]] = deliver(maildir, {"1": content}, settle=False)
    assert isinstance(outcome, Delivered)
    return maildir._template.mailbox(SALES).__str__() / Path("new") / outcome.name


def test_D6_moved_to_another_folder_it_is_adopted(maildir: Maildir, box: Path) -> None:
    new = _committed(maildir)
    (box / ".Archive" / "cur").mkdir(parents=True)
    new.rename(box / ".Archive" / "cur" / "renamed")

    assert names(deliver(maildir, {"1": b"mail"})) == [new.name]
    assert contents(box, "new", "cur", "tmp") == Counter()


def test_D5_what_is_in_new_already_is_adopted(maildir: Maildir, box: Path) -> None:
    new = _committed(maildir)
    (box / "tmp" / new.name).unlink()
    before = new.stat().st_ino

    staged = maildir.stage(message(), [b"mail"], [SALES])
    [(_, outcomes)] = maildir.commit([staged])

    assert names([outcomes]) == [new.name]
    assert new.stat().st_ino == before
    assert new.stat().st_nlink == 2  # moved now, it would still be recognised
    maildir.settle([staged])
    assert contents(box, "new", "tmp") == Counter([b"mail"])


@pytest.mark.parametrize("tmp_left", [True, False])
def test_D5_other_content_under_our_name_is_left_alone(
    maildir: Maildir, box: Path, tmp_left: bool
) -> None:
    new = _committed(maildir, b"of the same length 1")
    if not tmp_left:
        (box / "tmp" / new.name).unlink()

    for _ in range(2):  # the second time it is adopted
        [delivered] = names(deliver(maildir, {"1": b"of the same length 2"}, settle=False))
        assert delivered != new.name
        assert delivered.startswith(new.name.removesuffix(".mailcollector"))
        assert len(delivered) < 100
        assert contents(box) == Counter([b"of the same length 1", b"of the same length 2"])


def test_D5_other_content_that_was_moved_is_adopted_too(maildir: Maildir, box: Path) -> None:
    _committed(maildir, b"one")
    [second] = names(deliver(maildir, {"1": b"another"}, settle=False))
    (box / "new" / second).rename(box / "cur" / "moved")

    assert names(deliver(maildir, {"1": b"another"})) == [second]
    assert contents(box) == Counter([b"one", b"another"])


def test_D5_a_link_in_the_place_of_the_file_is_no_mail_of_ours(
    maildir: Maildir, box: Path, tmp_path: Path
) -> None:
    deliver(maildir, {"0": b"mail"})
    (tmp_path / "target").write_bytes(b"mail")
    (box / "new" / first_name(message(), SALES)).symlink_to(tmp_path / "target")
    (box / "tmp" / first_name(message(), SALES)).symlink_to(tmp_path / "target")

    assert len(names(deliver(maildir, {"1": b"mail"}))) == 1
    assert (tmp_path / "target").read_bytes() == b"mail"
    assert sum(1 for path in (box / "new").iterdir() if not path.is_symlink()) == 2


def test_a_half_written_file_of_a_crash_is_replaced(maildir: Maildir, box: Path) -> None:
    deliver(maildir, {"0": b"mail"})
    (box / "tmp" / first_name(message(), SALES)).write_bytes(b"ma")
    deliver(maildir, {"1": b"mail 1"})
    assert contents(box, "new", "tmp") == Counter([b"mail", b"mail 1"])


def test_a_clear_delivers_again(maildir: Maildir, box: Path) -> None:
    for epoch in (1, 2):
        staged = maildir.stage(message(epoch=epoch), [b"mail"], [SALES])
        list(maildir.commit([staged]))
        maildir.settle([staged])
    assert contents(box) == Counter([b"mail", b"mail"])


@pytest.mark.parametrize(
    "code",
    [
        errno.EPERM,
        errno.EOPNOTSUPP,
        errno.EXDEV,
        errno.EACCES,
        errno.ENOSYS,
        errno.EMLINK,
        errno.EINVAL,
    ],
)
def test_without_links_it_renames_and_never_replaces(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    Failing(monkeypatch, "link").fail(code, only=False)

    [first] = names(deliver(maildir, {"1": b"mail"}, settle=False))
    assert names(deliver(maildir, {"1": b"mail"}, settle=False)) == [first]
    [second] = names(deliver(maildir, {"1": b"other"}))

    assert first != second
    assert contents(box) == Counter([b"mail", b"other"])
    assert contents(box, "tmp") == Counter()


def test_D7_stale_files_of_our_own_are_removed(maildir: Maildir, box: Path) -> None:
    deliver(maildir, {"0": b"mail"})
    ours, again, young, linked, theirs = (
        box / "tmp" / one
        for one in (
            first_name(message("1"), SALES),
            first_name(message("2"), SALES) + ".again",
            first_name(message("3"), SALES),
            first_name(message("4"), SALES),
            "1700000000.M1P2.host",
        )
    )
    for path in (ours, again, young, linked, theirs):
        path.write_bytes(b"left")
        if path != young:
            os.utime(path, (time.time() - 37 * 3600,) * 2)
    (box / "cur" / "read:2,S").hardlink_to(linked)

    deliver(Maildir(maildir._template.root + "/{local}", create=True), {"5": b"mail"})

    assert set((box / "tmp").iterdir()) == {young, linked, theirs}


@pytest.mark.parametrize(("hours", "left"), [(1, True), (35, True), (37, False)])
def test_D7_files_are_stale_after_36_hours(
    maildir: Maildir, box: Path, hours: int, left: bool
) -> None:
    deliver(maildir, {"0": b"mail"})
    path = box / "tmp" / first_name(message("1"), SALES)
    path.write_bytes(b"left")
    os.utime(path, (time.time() - hours * 3600,) * 2)
    deliver(Maildir(maildir._template.root + "/{local}", create=True), {"5": b"mail"})
    assert path.exists() == left


def test_D7_a_maildir_is_looked_through_once_by_each_run(maildir: Maildir, box: Path) -> None:
    deliver(maildir, {"0": b"mail"})
    path = box / "tmp" / first_name(message("1"), SALES)
    path.write_bytes(b"left")
    os.utime(path, (time.time() - 37 * 3600,) * 2)
    deliver(maildir, {"5": b"mail"})
    assert path.exists()


@pytest.mark.parametrize("nameless", [True, False], ids=["", "no files without a name"])
@pytest.mark.parametrize("hours", [-40, 40])
def test_D7_the_clock_is_that_of_the_files(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch, hours: int, nameless: bool
) -> None:
    """A process whose clock is 40 hours off swept its own draft, or never anything."""
    now, real = time.time(), os.open
    monkeypatch.setattr(time, "time", lambda: now + hours * 3600)

    def without_nameless(path: str, flags: int, *args: int, **kwargs: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE and not nameless:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", without_nameless)
    deliver(maildir, {"0": b"mail"})
    old = box / "tmp" / first_name(message("1"), SALES)
    old.write_bytes(b"left")
    os.utime(old, (now - 37 * 3600,) * 2)
    deliver(Maildir(maildir._template.root + "/{local}", create=True), {"5": b"mail 5"})
    assert contents(box) == Counter([b"mail", b"mail 5"])
    assert not old.exists()


def test_D7_a_stale_file_that_cannot_be_removed_keeps_no_mail_away(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(maildir, {"0": b"mail"})
    path = box / "tmp" / first_name(message("1"), SALES)
    path.mkdir()
    os.utime(path, (time.time() - 37 * 3600,) * 2)
    monkeypatch.setattr(message_files, "_is_stale", lambda entry, _: entry.is_dir())
    deliver(Maildir(maildir._template.root + "/{local}", create=True), {"5": b"mail 5"})
    assert contents(box) == Counter([b"mail", b"mail 5"])
    assert path.is_dir()


def test_other_names_are_told_apart_by_content() -> None:
    taken = first_name(message(), SALES)
    assert second_name(taken, "a" * 64) != second_name(taken, "b" * 64)
