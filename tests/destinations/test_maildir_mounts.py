"""Hazard D3: mail never goes below a mount point whose disk is not mounted, whoever starts when.
With real mounts."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler import mounts
from reconciler.app.adapters import CollectorMounts
from reconciler.destinations.maildir import Maildir
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.model.errors import DestinationUnavailable, LedgerUnavailable
from reconciler.model.outcomes import Deferred, Delivered, MessageState, Record
from reconciler.mounts import Mount
from tests.captured_logs import capture_logs
from tests.crashes.power import Disk
from tests.destinations.maildirs import INBOX, SALES, contents, deliver, message
from tests.ledger.samples import declare

NOW = datetime.now(UTC)
OTHER = "info@example.org"


class Machine:
    """A ledger, and Maildirs at `path`: `run` is a process that delivers one message and records
    it."""

    def __init__(self, path: str, ledger: SqlLedger) -> None:
        self.path = path
        self.ledger = ledger
        self._number = 0
        declare(ledger, "collector", "digest", "new-delete", NOW)

    def maildir(self) -> Maildir:
        return Maildir(
            self.path, create=True, shared=True, memory=CollectorMounts(self.ledger, "collector")
        )

    def run(self, *recipients: str) -> list[Delivered | Deferred]:
        self._number += 1
        key, recipients = str(self._number), recipients or (SALES,)
        maildir = self.maildir()
        try:
            [outcomes] = deliver(maildir, {key: b"mail " + key.encode()}, recipients)
        finally:
            maildir.finish()
        delivered = tuple(outcome for outcome in outcomes if isinstance(outcome, Delivered))
        self.ledger.record(
            "collector", INBOX, [Record(key, MessageState.COLLECTED, 6, delivered=delivered)], NOW
        )
        return [outcome for outcome in outcomes if isinstance(outcome, Delivered | Deferred)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    opened = open_ledger(f"sqlite:///{tmp_path}/state/ledger.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def disks() -> Iterator[Callable[[], Disk]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Disk(mebibytes=8, inodes=256))


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """The last argument is the mount point."""
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", arguments[-1]], check=True)


def files(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "shape",
    [
        "{disk}/{{domain}}/{{local}}",
        "{disk}/mail/{{local}}",
        "{disk}/one",
        "{link}/{{local}}",
        "{disk}/{{local}}@{{domain}}",
        "{disk}/a/../mail/./{{local}}",
    ],
)
def test_M1_a_disk_that_is_not_mounted_at_the_start_is_waited_for(
    tmp_path: Path, ledger: SqlLedger, disks: Callable[[], Disk], shape: str
) -> None:
    mail = disks()
    (tmp_path / "link").symlink_to(mail.mounted)
    (mail.mounted / "a").mkdir()
    machine = Machine(shape.format(disk=mail.mounted, link=tmp_path / "link"), ledger)
    machine.run()
    mail.unmount()
    (mail.mounted / "a").mkdir()
    for _ in range(2):
        with pytest.raises(
            DestinationUnavailable, match=f"{mail.mounted} is not mounted; .*--accept-maildirs"
        ):
            machine.run()
        with pytest.raises(DestinationUnavailable, match="is not mounted"):
            machine.maildir().exists(SALES)
        with pytest.raises(DestinationUnavailable, match="is not mounted"):
            machine.maildir().check()
    assert files(mail.mounted) == []
    (mail.mounted / "a").rmdir()
    mail.mount()
    machine.run()
    assert len([path for path in files(mail.mounted) if path.parent.name == "new"]) == 2


def test_M1_a_collector_that_is_new_learns_from_what_others_have_learnt(
    ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    mail = disks()
    Machine(f"{mail.mounted}/{{local}}", ledger).run()
    mail.unmount()
    declare(ledger, "new", "digest", "new-keep", NOW)
    other = Maildir(
        f"{mail.mounted}/of-new/{{local}}", create=True, memory=CollectorMounts(ledger, "new")
    )
    with pytest.raises(DestinationUnavailable, match="is not mounted"):
        deliver(other, {"1": b"x"})
    mail.mount()


def test_M1_a_disk_that_goes_while_the_program_runs(
    ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    """Its descriptors do not keep it, as `umount --lazy` shows."""
    mail = disks()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    maildir = machine.maildir()
    deliver(maildir, {"1": b"one"})
    staged = maildir.stage(message("2"), [b"two"], [SALES])
    subprocess.run(["umount", "--lazy", mail.mounted], check=True)
    with pytest.raises(DestinationUnavailable, match="is not mounted"):
        list(maildir.commit([staged]))
    maildir.finish()
    assert files(mail.mounted) == []
    mail.mount()
    deliver(machine.maildir(), {"2": b"two"})
    assert contents(mail.mounted / "sales") == Counter([b"one", b"two"])


def test_M1_one_domain_on_a_disk_of_its_own(
    tmp_path: Path, ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    """Only its mail waits."""
    mail = disks()
    (mail.mounted / "keep").mkdir()
    root = tmp_path / "mail"
    (root / "икс.рф").mkdir(parents=True)
    machine = Machine(f"{root}/{{domain}}/{{local}}", ledger)
    with mounted(mail._device, root / "икс.рф"):
        assert all(isinstance(each, Delivered) for each in machine.run(SALES, OTHER))
    first, second = machine.run(SALES, OTHER)
    assert isinstance(first, Deferred)
    assert f"{root}/икс.рф is not mounted" in first.reason
    assert isinstance(second, Delivered)
    assert files(root / "икс.рф") == []
    with mounted(mail._device, root / "икс.рф"):
        assert isinstance(machine.run()[0], Delivered)


@pytest.mark.parametrize("deep", [False, True])
def test_M1_a_bind_mount_of_the_same_disk(tmp_path: Path, ledger: SqlLedger, deep: bool) -> None:
    """Device and file system are the same, mounted or not."""
    (tmp_path / "data" / "sales").mkdir(parents=True)
    (tmp_path / "mail").mkdir()
    machine = Machine(f"{tmp_path}/mail/{'deep/' if deep else ''}{{local}}", ledger)
    with mounted("--bind", tmp_path / "data", tmp_path / "mail"):
        machine.run()
    with pytest.raises(DestinationUnavailable, match="/mail is not mounted"):
        machine.run()
    (tmp_path / "wrong").mkdir()
    with (
        mounted("--bind", tmp_path / "wrong", tmp_path / "mail"),
        pytest.raises(DestinationUnavailable, match=r"another file system is mounted at .*/mail"),
    ):
        machine.run()
    assert files(tmp_path / "mail") == files(tmp_path / "wrong") == []
    with mounted("--bind", tmp_path / "data", tmp_path / "mail"):
        machine.run()
    assert len(files(tmp_path / "data")) == 2


def test_the_same_directory_by_another_way_of_mounting_is_the_same(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    """As in the namespace of a service that may write there only, and outside of it."""
    (tmp_path / "mail").mkdir()
    machine = Machine(f"{tmp_path}/mail/{{local}}", ledger)
    with mounted("--bind", tmp_path / "mail", tmp_path / "mail"):
        machine.run()
    machine.run()
    with mounted("--bind", tmp_path / "mail", tmp_path / "mail"):
        machine.run()
    assert len(files(tmp_path / "mail")) == 3


def test_M1_another_disk_in_its_place_is_not_taken_for_it(
    ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    mail, wrong = disks(), disks()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    machine.run()
    mail.unmount()
    with (
        mounted(wrong._device, mail.mounted),
        pytest.raises(DestinationUnavailable, match="another file system is mounted at"),
    ):
        machine.run()
    mail.mount()
    assert files(wrong.mounted) == []
    machine.run()


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read by a mail program"])
def test_maildirs_that_were_copied_to_another_disk_are_known_by_their_mail(
    ledger: SqlLedger, disks: Callable[[], Disk], read: bool
) -> None:
    mail, larger = disks(), disks()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    machine.run()
    if read:
        [path] = files(mail.mounted)
        path.rename(mail.mounted / "sales" / "cur" / f"{path.name}:2,S")
    subprocess.run(["cp", "-a", f"{mail.mounted}/sales", larger.mounted], check=True)
    mail.unmount()
    with mounted(larger._device, mail.mounted):
        machine.run()
        machine.run()
    assert len(files(larger.mounted)) == 3
    with pytest.raises(
        DestinationUnavailable, match="is not mounted"
    ):  # that one is expected from now on
        machine.run()
    mail.mount()


def test_what_an_earlier_accident_left_below_the_mount_point_is_no_sign(
    ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    mail = disks()
    mail.unmount()
    for part in ("tmp", "new", "cur"):
        (mail.mounted / "sales" / part).mkdir(parents=True)
    (mail.mounted / "sales" / "new" / "0000000001.abc.mailcollector").write_bytes(b"hidden")
    mail.mount()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    machine.run()
    mail.unmount()
    with pytest.raises(DestinationUnavailable, match="is not mounted"):
        machine.run()
    assert len(files(mail.mounted)) == 1
    mail.mount()


def test_a_move_on_purpose_is_confirmed_and_then_remembered(
    ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    mail = disks()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    machine.run()
    mail.unmount()
    ledger.accept_maildirs("collector", NOW - timedelta(days=2))
    with pytest.raises(DestinationUnavailable, match="is not mounted"):  # that was for then
        machine.run()
    ledger.accept_maildirs("collector", datetime.now(UTC))
    machine.run()
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE collectors SET maildirs_accepted_at = NULL")
    machine.run()
    assert len(files(mail.mounted)) == 2
    mail.mount()
    machine.run()  # a mount where there was none hides nothing that is delivered from now on
    with pytest.raises(LedgerUnavailable, match="does not know"):
        ledger.accept_maildirs("nobody", NOW)


def test_a_maildir_or_the_whole_root_that_was_removed_is_made_again(
    tmp_path: Path, ledger: SqlLedger, disks: Callable[[], Disk]
) -> None:
    mail = disks()
    machine = Machine(f"{mail.mounted}/mail/{{local}}", ledger)
    machine.run()
    subprocess.run(["rm", "-r", mail.mounted / "mail" / "sales"], check=True)
    machine.run()
    subprocess.run(["rm", "-r", mail.mounted / "mail"], check=True)
    machine.run()
    assert len(files(mail.mounted)) == 1


def test_what_is_in_memory_outlasts_nothing_so_nothing_is_hidden(
    tmp_path: Path, ledger: SqlLedger
) -> None:
    (tmp_path / "mail").mkdir()
    machine = Machine(f"{tmp_path}/mail/{{local}}", ledger)
    for _ in range(2):
        with mounted("-t", "tmpfs", "tmpfs", tmp_path / "mail"):
            machine.run()
    with pytest.raises(DestinationUnavailable, match="is not mounted"):
        machine.run()


def test_what_fstab_has_and_is_not_mounted_is_waited_for_even_the_first_time(
    tmp_path: Path, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "the mail"
    place.mkdir()
    fstab = tmp_path / "fstab"
    escaped = str(place).replace(" ", "\\040")
    fstab.write_text(
        f"# comment\nUUID=1234 / ext4 defaults 0 1\n{escaped} none\n"
        f"UUID=5678 {escaped}/ ext4 rw,nofail 0 2\nshort\n"
    )
    monkeypatch.setattr(mounts, "_FSTAB", fstab)
    machine = Machine(f"{place}/{{local}}", ledger)
    with pytest.raises(
        DestinationUnavailable, match=r"fstab has a file system for .*the mail, and none is mounted"
    ):
        machine.run()
    with mounted("-t", "tmpfs", "tmpfs", place):
        machine.run()
    fstab.write_text(f"UUID=5678 {tmp_path}/other ext4 noauto 0 2\n")
    Machine(f"{tmp_path}/other/{{local}}", ledger).run()


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        (Mount("/m", "ext4", "/dev/sda1", fsid=7), Mount("/m", "ext4", "/dev/sdb1", fsid=7), True),
        (Mount("/m", "ext4", "/dev/sda1", fsid=7), Mount("/m", "ext4", "/dev/sda1", fsid=8), False),
        (
            Mount("/m", "xfs", "/dev/sda1", fsid=7, uuid="a"),
            Mount("/m", "xfs", "/dev/sdb1", fsid=8, uuid="a"),
            True,
        ),
        (
            Mount("/m", "xfs", "/dev/sda1", fsid=7, uuid="a"),
            Mount("/m", "xfs", "/dev/sda1", fsid=7, uuid="b"),
            False,
        ),
        (Mount("/m", "nfs4", "server:/mail"), Mount("/m", "nfs4", "server:/mail"), True),
        (Mount("/m", "nfs4", "server:/mail"), Mount("/m", "nfs4", "server:/other"), False),
        (Mount("/m", "nfs4", "server:/mail"), Mount("/m", "autofs", "systemd-1"), False),
        (
            Mount("/m", "ext4", "/dev/sda1", "/mail", 7),
            Mount("/", "ext4", "/dev/sda1", "/", 7),
            False,
        ),
        (Mount("/m", "ext4", "/dev/sda1", "/m", 7), Mount("/", "ext4", "/dev/sda1", "/", 7), True),
        (Mount("/", "overlay", "overlay", fsid=7), Mount("/", "overlay", "overlay", fsid=8), True),
        (Mount("/m", "tmpfs", "tmpfs"), Mount("/", "overlay", "overlay"), False),
    ],
)
def test_which_file_systems_are_the_same(one: Mount, another: Mount, same: bool) -> None:
    assert one.is_the_same(another, "/m/sales") == another.is_the_same(one, "/m/sales") == same


def test_where_the_kernel_does_not_tell_nothing_is_held(
    tmp_path: Path, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_table", list)
    machine = Machine(f"{tmp_path}/mail/{{local}}", ledger)
    machine.run()
    assert ledger.mounts() == {}


def test_M1_in_a_chroot_whose_root_is_no_mount_point(
    tmp_path: Path, ledger: SqlLedger, disks: Callable[[], Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's table leaves out what that is on."""
    whole = mounts._table
    monkeypatch.setattr(
        mounts, "_table", lambda: [line for line in whole() if line.split()[4] != "/"]
    )
    (tmp_path / "fstab").write_text("UUID=1234 / ext4 defaults 0 1\n")
    monkeypatch.setattr(mounts, "_FSTAB", tmp_path / "fstab")
    mounts.mount_of.cache_clear()
    mail = disks()
    machine = Machine(f"{mail.mounted}/{{local}}", ledger)
    machine.run()
    mail.unmount()
    with pytest.raises(DestinationUnavailable, match=f"{mail.mounted} is not mounted"):
        machine.run()
    mail.mount()
    machine.run()
    Machine(f"{tmp_path}/mail/{{local}}", ledger).run()
    kinds = {point: mount.kind for point, mount in ledger.mounts().items()}
    assert kinds == {str(mail.mounted): "ext4", "/": "unknown"}
    assert mounts.missing_mount(str(tmp_path)) is None
    mounts.mount_of.cache_clear()


def test_the_ledger_keeps_what_a_mount_is(ledger: SqlLedger) -> None:
    mount = Mount(
        "/srv/the mail", "ext4", "/dev/sda1", "/inside", 18446744073709551615, "1234-abcd"
    )
    ledger.remember_mount(Mount("/old", "xfs", "x"), [])
    ledger.remember_mount(mount, ["/old"])
    assert ledger.mounts() == {"/srv/the mail": mount}


@pytest.mark.parametrize("read", [False, True])
def test_a_new_ledger_beside_mail_that_was_collected_is_warned_of_once(
    tmp_path: Path, ledger: SqlLedger, read: bool
) -> None:
    """The state's own disk may not be mounted."""
    path = f"{tmp_path}/mail/{{local}}"
    with capture_logs() as logged:
        Machine(path, ledger).run()
    if read:
        [mail] = files(tmp_path / "mail")
        mail.rename(mail.parents[1] / "cur" / f"{mail.name}:2,S")
    assert "the ledger is new" not in str(logged)
    fresh = open_ledger(f"sqlite:///{tmp_path}/other/ledger.sqlite3")
    machine = Machine(path, fresh)
    with capture_logs() as logged:
        machine.run()
    assert "the ledger is new, but there is mail" in str(logged)
    with capture_logs() as logged:
        machine.run()
    assert "the ledger is new" not in str(logged)
    fresh.close()
