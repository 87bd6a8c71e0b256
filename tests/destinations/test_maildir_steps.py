"""Single steps of a delivery to a Maildir, without a file system that misbehaves."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from reconciler.destinations.maildir import (
    Maildir,
    directories,
    file_sync,
    message_files,
    mount_protection,
)
from reconciler.destinations.maildir.acting_as_owner import Owner
from reconciler.destinations.maildir.directories import Directory
from reconciler.destinations.maildir.filesystem_errors import NotAMailbox
from reconciler.destinations.maildir.mailbox_paths import MailboxPath, MailboxPathTemplate
from reconciler.destinations.maildir.mount_protection import MountProtection
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Delivered
from reconciler.mounts import Mount
from tests.destinations.maildirs import SALES, deliver

BEFORE, NOW = Mount("/", "ext4", "/dev/a", uuid="a"), Mount("/", "ext4", "/dev/b", uuid="b")


class Memory:
    """Mail went to `before`, last under these names."""

    def __init__(
        self, before: Mount | None, names: Sequence[str] = (), *, accepted: bool = False
    ) -> None:
        self.known = {before.point: before} if before else {}
        self._names = names
        self._accepted = accepted

    def mounts(self) -> dict[str, Mount]:
        return self.known

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        for point in instead:
            del self.known[point]
        self.known[mount.point] = mount

    def accepted(self) -> bool:
        return self._accepted

    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:
        return [(SALES, name) for name in self._names][:limit]


@pytest.mark.parametrize(
    ("before", "witness", "accepted", "goes_there"),
    [
        pytest.param(None, False, False, True, id="nothing is known"),
        pytest.param(NOW, False, False, True, id="the same disk"),
        pytest.param(BEFORE, False, False, False, id="another disk"),
        pytest.param(BEFORE, True, False, True, id="another disk with the last mail"),
        pytest.param(BEFORE, False, True, True, id="another disk that somebody accepted"),
    ],
)
def test_D3_mail_goes_to_another_disk_only_where_that_is_meant(
    before: Mount | None,
    witness: bool,
    accepted: bool,
    goes_there: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    template = f"{tmp_path}/{{domain}}/{{local}}"
    maildir = Maildir(template, create=True, shared=True)
    [(delivered,)] = deliver(maildir, {"1": b"Subject: 1\r\n\r\n"})
    maildir.finish()
    assert isinstance(delivered, Delivered)
    monkeypatch.setattr(mount_protection, "mount_of", lambda *_: NOW)
    memory = Memory(before, [delivered.name] if witness else ["missing"], accepted=accepted)
    protection = MountProtection(memory, MailboxPathTemplate(template))
    mailbox = MailboxPathTemplate(template).mailbox(SALES)
    if not goes_there:
        with pytest.raises(DestinationUnavailable, match="/dev/a"):
            protection.check(mailbox)
        assert memory.known == {"/": BEFORE}
        return
    protection.check(mailbox)
    protection.remember(mailbox)
    assert memory.known == {"/": NOW}


@pytest.mark.parametrize(
    ("mode", "after"), [(0o2700, 0o700), (0o700, 0o700), (0o755, 0o755), (0o2750, 0o2750)]
)
def test_a_directory_of_ours_is_private_and_one_of_others_stays(
    mode: int, after: int, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new").chmod(mode)
    above = os.open(tmp_path, os.O_RDONLY)
    directories._make_private(Directory(above), "new")
    os.close(above)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == after


ROOT, ANN, BEN = Owner(0, 1), Owner(1000, 1000), Owner(1001, 1001)


@pytest.mark.parametrize(
    ("maildir", "below", "acts_as"),
    [
        pytest.param(None, ANN, ANN, id="a Maildir of our own"),
        pytest.param(ANN, None, None, id="a directory of our own"),
        pytest.param(ROOT, ANN, ANN, id="a Maildir of root's"),
        pytest.param(ANN, ANN, ANN, id="the user's own directory"),
        pytest.param(ANN, Owner(1000, 7), Owner(1000, 7), id="with another group"),
        pytest.param(ANN, BEN, ANN, id="somebody else's directory"),
    ],
)
def test_in_a_user_s_maildir_we_act_as_this_user(
    maildir: Owner | None,
    below: Owner | None,
    acts_as: Owner | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(directories, "_part", lambda *_, **more: Directory(7, below))
    assert directories.open_inside(Directory(6, maildir), "new") == Directory(7, acts_as)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    opened: list[int] = []

    def make(content: bytes) -> int:
        path = tmp_path / str(len(opened))
        path.write_bytes(content)
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield make
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_what_a_file_holds(
    chunk: int, file: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_files, "_CHUNK", chunk)
    text = b"0123456789"
    whole = file(text)
    assert message_files.digest(whole, 10) == hashlib.sha256(text).hexdigest()
    assert message_files.digest(whole, 4) == hashlib.sha256(text[:4]).hexdigest()
    assert message_files.digest(whole, 99) == hashlib.sha256(text).hexdigest()
    assert message_files.same_content(whole, file(text), 10)
    for other in (b"012345678x", b"x123456789", b"01234x6789", text[:9], text + b"x", b""):
        assert not message_files.same_content(whole, file(other), 10)
        assert not message_files.same_content(whole, file(other), len(other))


def test_where_a_maildir_stands_its_three_directories_are_made(tmp_path: Path) -> None:
    above = os.open(tmp_path, os.O_RDONLY)
    assert not directories.contains(Directory(above), "new")
    directories.make_subdirectories(Directory(above))
    assert directories.contains(Directory(above), "new")
    os.close(above)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cur", "new", "tmp"]


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_each_is_dealt_with_once_and_the_results_keep_their_order(count: int) -> None:
    done: list[int] = []

    def double(number: int) -> int:
        done.append(number)
        return 2 * number

    assert file_sync.run_in_parallel(double, range(count)) == [2 * each for each in range(count)]
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize("count", [1, 7, 64])
def test_D2_each_file_that_cannot_be_synced_is_told(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / str(number) for number in range(count)]
    opened = []
    for path in paths:
        path.touch()
        assert file_sync.may_stay_open()
        opened.append(os.open(path, os.O_RDONLY))
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if int(Path(f"/proc/self/fd/{descriptor}").readlink().name) % 3 == 1:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    found = file_sync.sync(opened)
    assert [error is not None for error in found] == [each % 3 == 1 for each in range(count)]
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_file_that_shrinks_while_it_is_compared_is_another_one(
    file: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = file(b"text"), file(b"text")
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    assert not message_files.same_content(one, two, 4)


def test_links_that_lead_round_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    maildir = Maildir(f"{tmp_path}/a/{{local}}", create=True)
    with pytest.raises(DestinationUnavailable, match="symbolic links"):
        deliver(maildir, {"1": b"Subject: 1\r\n\r\n"})
    maildir.finish()


@pytest.mark.parametrize("privileged", [True, False])
def test_the_fixed_part_of_a_path_is_made_only_where_that_is_asked(
    privileged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not privileged:
        monkeypatch.setattr(directories, "privileged", lambda: False)
    box = MailboxPath(str(tmp_path / "a" / "b"), ())
    with pytest.raises((FileNotFoundError, NotAMailbox)), directories.opened(box):
        pass
    assert not list(tmp_path.iterdir())
    with directories.opened(box, create=True):
        assert (tmp_path / "a" / "b").is_dir()
