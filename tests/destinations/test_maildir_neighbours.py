"""What somebody else who may write into a Maildir puts there: nothing blocks, nothing is followed,
nothing without end is read, and only that mailbox's mail waits."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.destinations.maildir import Maildir, file_sync
from reconciler.destinations.maildir.delivery_names import first_name
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered
from tests.descriptors import open_descriptors
from tests.destinations.maildirs import SALES, contents, deliver, message, names

OTHER = "info@икс.рф"
NAME = first_name(message(), SALES)
SPARSE = 1 << 40


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    made = Maildir(f"{tmp_path}/{{local}}", create=True, shared=True)
    deliver(made, {"0": b"before"}, [SALES, OTHER])
    return made


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "sales"


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(path.parent, os.O_PATH)
        listening.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, SPARSE)


def _two_names(path: Path) -> None:
    path.write_bytes(b"theirs")
    path.with_name("second").hardlink_to(path)


def _fifo_with_two_names(path: Path) -> None:
    os.mkfifo(path)
    path.with_name("second").hardlink_to(path)


def _empty(path: Path) -> None:
    path.touch(0o600)


PLANTED: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "sparse": _sparse,
    "empty": _empty,
    "directory": Path.mkdir,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "file with a second name": _two_names,
    "fifo with a second name": _fifo_with_two_names,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("mail", [b"mail", b""], ids=["mail", "empty mail"])
@pytest.mark.parametrize("folder", ["tmp", "new"])
@pytest.mark.parametrize("planted", PLANTED)
def test_whatever_stands_under_the_name_the_mail_is_delivered_beside_it(
    maildir: Maildir, box: Path, planted: str, folder: str, mail: bytes
) -> None:
    PLANTED[planted](box / folder / NAME)
    [[first], [second]] = deliver(maildir, {"1": mail, "2": b"two"}, [SALES])
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    delivered = box / "new" / first.name
    assert delivered.is_file()
    assert not delivered.is_symlink()
    assert delivered.read_bytes() == mail


@pytest.mark.timeout(20)
@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_staged_and_then_replaced_never_counts_as_delivered(
    maildir: Maildir, tmp_path: Path, box: Path, planted: str
) -> None:
    """Where new/NAME is there too, tmp/NAME is opened once more to be compared."""
    staged = [
        maildir.stage(message("1"), [b"one"], [SALES]),
        maildir.stage(message("2"), [b"two"], [OTHER]),
    ]
    (box / "new" / NAME).write_bytes(b"one")
    (box / "tmp" / NAME).unlink()
    PLANTED[planted](box / "tmp" / NAME)
    [(first,), (second,)] = [outcomes for _, outcomes in maildir.commit(staged)]
    assert isinstance(first, Deferred)
    assert "replaced a file in tmp" in first.reason
    assert isinstance(second, Delivered)
    maildir.settle(staged)
    assert contents(tmp_path / "info") == Counter([b"before", b"two"])


def _gone(box: Path) -> None:
    box.rename(box.with_name("away"))


def _link(box: Path) -> None:
    box.rename(box.with_name("away"))
    box.symlink_to("away")


def _other(box: Path) -> None:
    box.rename(box.with_name("away"))
    for part in ("tmp", "new", "cur"):
        (box / part).mkdir(parents=True)


def _new_is_a_link(box: Path) -> None:
    (box / "new").rename(box / "elsewhere")
    (box / "new").symlink_to("elsewhere")


def _new_is_a_file(box: Path) -> None:
    (box / "new").rename(box / "elsewhere")
    (box / "new").touch()


def _no_tmp(box: Path) -> None:
    (box / "tmp").rename(box / "elsewhere")


@pytest.mark.parametrize("change", [_gone, _link, _other, _new_is_a_link, _new_is_a_file, _no_tmp])
def test_a_maildir_that_changes_between_stage_and_commit_puts_off_its_own_mail_only(
    maildir: Maildir, tmp_path: Path, box: Path, change: Callable[[Path], None]
) -> None:
    staged = [
        maildir.stage(message("1"), [b"one"], [SALES]),
        maildir.stage(message("2"), [b"two"], [OTHER]),
    ]
    change(box)
    [(first,), (second,)] = [outcomes for _, outcomes in maildir.commit(staged)]
    maildir.settle(staged)
    assert isinstance(first, Deferred)
    assert isinstance(second, Delivered)
    assert contents(tmp_path / "info") == Counter([b"before", b"two"])
    for place in tmp_path.rglob("new"):
        if place.is_dir():
            assert b"one" not in contents(place.parent, "new")


def test_a_maildir_that_was_replaced_gets_nothing_that_was_meant_for_the_old_one(
    tmp_path: Path,
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True)
    staged = maildir.stage(message(), [b"mail"], [SALES])
    _other(tmp_path / "sales")
    with pytest.raises(DestinationUnavailable, match="replaced or moved away"):
        list(maildir.commit([staged]))
    maildir.discard([staged])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# -- nothing leaks, and nothing is raised where nobody could do anything about it


def test_a_session_that_just_ends_leaves_no_descriptor_no_file_and_no_place_taken(
    maildir: Maildir, box: Path
) -> None:
    before, room = open_descriptors(), file_sync._ROOM.qsize()
    other = Maildir(f"{box.parent}/{{local}}", create=True)
    for number in range(5):
        other.stage(message(f"k{number}"), [b"mail"], [SALES, OTHER])
    assert file_sync._ROOM.qsize() == room - 10
    other.finish()
    assert (open_descriptors(), file_sync._ROOM.qsize()) == (before, room)
    assert contents(box, "tmp") == Counter()


def test_the_content_is_read_once_for_all_recipients(tmp_path: Path) -> None:
    before = open_descriptors()
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True)
    staged = maildir.stage(message(), iter([b"one ", b"mail"]), ["a@x", "b@x", "c@x"])
    assert staged.size == 8
    list(maildir.commit([staged]))
    maildir.settle([staged])
    maildir.finish()
    assert {contents(tmp_path / box).total() for box in "abc"} == {1}
    assert {mail for box in "abc" for mail in contents(tmp_path / box)} == {b"one mail"}
    assert open_descriptors() == before


def test_where_nobody_takes_it_the_content_is_read_and_counted_all_the_same(tmp_path: Path) -> None:
    content = iter([b"one ", b"mail"])
    maildir = Maildir(f"{tmp_path}/{{local}}", create=False)
    staged = maildir.stage(message(), content, [SALES])
    assert (staged.size, [*content]) == (8, [])


def test_what_is_committed_and_not_recorded_keeps_what_it_is_recognised_by_at_the_end(
    maildir: Maildir, box: Path
) -> None:
    staged = maildir.stage(message(), [b"mail"], [SALES])
    list(maildir.commit([staged]))
    maildir.finish()
    assert (box / "tmp" / NAME).stat().st_nlink == 2


def test_discarding_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True)
    staged = maildir.stage(message(), [b"mail"], [SALES])

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "unlink", unlink)
    maildir.discard([staged])
    monkeypatch.undo()
    assert names(deliver(maildir, {"1": b"mail"}))
    assert contents(tmp_path / "sales", "new", "tmp") == Counter([b"mail"])


def test_a_box_that_is_released_after_the_end_is_not_closed_twice(maildir: Maildir) -> None:
    box = maildir._maildirs.take(maildir._template.mailbox(SALES))
    maildir._maildirs.close()
    for number in (box.tmp, box.new):  # somebody else's by now
        with Path("/dev/null").open("rb") as other:
            os.dup2(other.fileno(), number)
    maildir._maildirs.release(box)
    for number in (box.tmp, box.new):
        os.close(number)  # EBADF if it was closed


def test_files_are_synced_here_where_no_thread_can_be_started(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def submit(self, _: object) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(file_sync, "_threads", Full)
    mails = {f"k{number}": b"mail %d" % number for number in range(20)}
    assert len(names(deliver(maildir, mails, [SALES, OTHER]))) == 40
    assert contents(box) == Counter([b"before", *mails.values()])


def test_a_thread_that_is_late_does_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor queues what it is given before it fails to start a thread for it."""
    queued: list[Callable[[], None]] = []

    class Late:
        def submit(self, work: Callable[[], None]) -> None:
            queued.append(work)
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(file_sync, "_threads", Late)
    done: list[int] = []
    file_sync.run_in_parallel(done.append, [1, 2, 3])
    for work in queued:
        work()
    assert sorted(done) == [1, 2, 3]


def test_a_sync_that_cannot_begin_closes_what_waited(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = file_sync._ROOM.qsize()
    staged = [maildir.stage(message(f"k{number}"), [b"mail"], [SALES]) for number in range(3)]

    def side_by_side(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(file_sync, "run_in_parallel", side_by_side)
    with pytest.raises(MemoryError):
        list(maildir.commit(staged))
    monkeypatch.undo()
    maildir.finish()
    assert file_sync._ROOM.qsize() == room
