"""Run as root: in a directory that belongs to somebody else everything is done as its owner, and no
link of a user's is followed. These tests need root, as the walk that cuts the power does."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.destinations.maildir import Maildir, acting_as_owner, message_files
from reconciler.destinations.maildir.acting_as_owner import Owner, acting_as
from reconciler.destinations.maildir.maildir_audit import Maildirs
from reconciler.destinations.maildir.staging import SharedContent
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered
from tests.crashes.power import Disk
from tests.destinations import race
from tests.destinations.maildirs import SALES, contents, deliver, message, names
from tests.destinations.race import ALICE, BOB

STAFF = 61_050


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that everybody may pass, other than pytest's."""
    made = Path(tempfile.mkdtemp(prefix="maildirs"))
    made.chmod(0o755)
    yield made
    subprocess.run(["chattr", "-R", "-i", made], check=False, capture_output=True)
    shutil.rmtree(made)


@pytest.fixture
def home(base: Path) -> Path:
    return owned(base / "alice", ALICE)


def owned(path: Path, user: int, group: int | None = None, mode: int = 0o755) -> Path:
    path.mkdir(parents=True)
    os.chown(path, user, user if group is None else group)
    path.chmod(mode)
    return path


def owners(path: Path) -> set[tuple[int, int]]:
    """Of everything in it."""
    return {(status.st_uid, status.st_gid) for each in path.rglob("*") if (status := each.lstat())}


def test_everything_made_belongs_to_whom_the_directory_above_belongs(home: Path) -> None:
    maildir = Maildir(f"{home}/mail/{{domain}}/{{local}}", create=True)
    deliver(maildir, {"1": b"one", "2": b"two"})
    deliver(maildir, {"2": b"two"})
    assert owners(home) == {(ALICE, ALICE)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")} == {0o700, 0o600}
    assert contents(home / "mail" / "икс.рф" / "sales") == Counter([b"one", b"two"])


@pytest.mark.parametrize("groups", [[], [0, STAFF]])
def test_a_thread_acts_as_the_owner_and_as_root_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, groups: list[int]
) -> None:
    before = os.getgroups()
    os.setgroups(groups)
    monkeypatch.setattr(acting_as_owner, "_own_groups", lambda: tuple(groups))
    seen: dict[str, dict[str, str]] = {}
    elsewhere = threading.Event()
    looked = threading.Event()

    def other() -> None:
        elsewhere.wait()
        seen["other"] = _status()
        looked.set()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        started = _status()
        with acting_as(Owner(ALICE, STAFF)):
            seen["alice"] = _status()
            elsewhere.set()
            looked.wait()
            with acting_as(Owner(BOB, BOB)):
                seen["bob"] = _status()
            seen["alice again"] = _status()
        seen["root"] = _status()
    finally:
        elsewhere.set()
        thread.join()
        os.setgroups(before)
    assert (
        seen["alice"]
        == seen["alice again"]
        == {"Uid": str(ALICE), "Gid": str(STAFF), "Groups": "", "files": "none"}
    )
    assert seen["bob"] == {"Uid": str(BOB), "Gid": str(BOB), "Groups": "", "files": "none"}
    assert seen["root"] == seen["other"] == started
    assert started == {"Uid": "0", "Gid": "0", "Groups": " ".join(map(str, groups)), "files": "all"}


def test_a_recipient_who_changes_a_copy_changes_no_other_recipient_s(home: Path) -> None:
    """Alice may write to her own copy before the second one is made."""
    original = SharedContent([b"one", b"two"])
    hers, his = home / "hers", home.parent / "his"
    with acting_as(Owner(ALICE, ALICE)):
        first = os.open(hers, os.O_RDWR | os.O_CREAT, 0o600)
    original.write(first, Owner(ALICE, ALICE), more=True)
    assert hers.read_bytes() == b"onetwo"
    os.pwrite(first, b"forged", 0)
    second = os.open(his, os.O_RDWR | os.O_CREAT, 0o600)
    original.write(second, None, more=False)
    original.close()
    os.close(first)
    os.close(second)
    assert his.read_bytes() == b"onetwo"


def test_a_thread_that_acted_as_an_owner_has_lost_what_lifts_quotas_and_nothing_else() -> None:
    found: list[int] = []

    def acting() -> None:
        found.append(_capabilities())
        with acting_as(Owner(ALICE, ALICE)):
            pass
        found.append(_capabilities())

    thread = threading.Thread(target=acting)
    thread.start()
    thread.join()
    before, after = found
    assert after == before & ~(1 << 24)  # CAP_SYS_RESOURCE


def _capabilities() -> int:
    """The effective ones of this thread."""
    status = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
    return next(
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff")
    )


def _status() -> dict[str, str]:
    """Of this thread: its file system's identity, its groups, and whether it has the capabilities
    for files."""
    lines = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/self/task/{threading.get_native_id()}/status")
        .read_text()
        .splitlines()
        if ":\t" in line
    )
    capable = (
        int(lines["CapEff"], 16) & 0b11111
    )  # chown, dac_override, dac_read_search, fowner, fsetid
    return {
        "Uid": lines["Uid"].split()[3],
        "Gid": lines["Gid"].split()[3],
        "Groups": lines["Groups"].strip(),
        "files": {0: "none", 0b11111: "all"}.get(capable, "some"),
    }


def test_E12_S3_no_change_of_identity_makes_the_process_dumpable_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each sets fs.suid_dumpable of this machine, which a test may not change."""
    calls: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(library, name)

    library = acting_as_owner._library()
    monkeypatch.setattr(acting_as_owner, "_library", Watched)
    with acting_as(Owner(ALICE, ALICE)):
        assert calls[-1] == "prctl"
    assert calls[-1] == "prctl"


def test_where_root_may_not_act_as_others_it_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        setfsuid = setfsgid = staticmethod(lambda _: 0)
        capget = staticmethod(lambda *_: 0)
        capset = staticmethod(lambda *_: 0)
        prctl = staticmethod(lambda *_: 0)

    monkeypatch.setattr(acting_as_owner, "_allowed", set())
    monkeypatch.setattr(acting_as_owner, "_library", Refusing)
    with pytest.raises(DestinationUnavailable, match="lacks CAP_SETUID or CAP_SETGID"):
        deliver(Maildir(f"{home}/{{local}}", create=True), {"1": b"x"})
    assert _status()["Uid"] == "0"
    assert list(home.iterdir()) == []


# -- links


@pytest.mark.parametrize(
    "shape", ["{home}/Maildir", "{home}/Maildir/deeper", "{home}/x/../Maildir/{{local}}"]
)
def test_E3_a_users_link_in_the_fixed_part_is_not_followed(
    base: Path, home: Path, shape: str
) -> None:
    outside = owned(base / "outside", 0)
    owned(home / "x", ALICE)
    (home / "Maildir").symlink_to(outside)
    os.chown(home / "Maildir", ALICE, ALICE, follow_symlinks=False)
    with pytest.raises(
        DestinationUnavailable,
        match=r"'Maildir' in its path is a link of a user's.*; write the path",
    ):
        deliver(Maildir(shape.format(home=home), create=True), {"1": b"x"})
    assert list(outside.iterdir()) == []


def test_a_users_link_in_a_directory_of_roots_is_not_followed(base: Path) -> None:
    """Anybody may make one in a directory like /tmp."""
    outside = owned(base / "outside", 0)
    shared = owned(base / "shared", 0, mode=0o1777)
    (shared / "mail").symlink_to(outside)
    os.chown(shared / "mail", ALICE, ALICE, follow_symlinks=False)
    with pytest.raises(DestinationUnavailable, match="a link of a user's"):
        deliver(Maildir(f"{shared}/mail/{{local}}", create=True), {"1": b"x"})
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "target", ["{base}/disk", "disk", "./x/../disk//", "../{base.name}/disk", "second"]
)
def test_the_administrators_links_are_followed(base: Path, target: str) -> None:
    owned(base / "disk", ALICE)
    owned(base / "x", 0)
    (base / "second").symlink_to(base / "disk")
    (base / "mail").symlink_to(target.format(base=base))
    deliver(Maildir(f"{base}/mail/../mail/{{local}}", create=True), {"1": b"x"})
    assert contents(base / "disk" / "sales").total() == 1
    assert owners(base / "disk") == {(ALICE, ALICE)}


def test_a_link_that_leads_to_itself_is_an_error(base: Path) -> None:
    (base / "mail").symlink_to("mail")
    with pytest.raises(DestinationUnavailable, match="Too many levels of symbolic links"):
        deliver(Maildir(f"{base}/mail/{{local}}", create=True), {"1": b"x"})


@pytest.mark.parametrize("part", ["tmp", "new", "cur"])
def test_a_users_link_inside_of_a_maildir_is_not_followed(
    base: Path, home: Path, part: str
) -> None:
    outside = owned(base / "outside", ALICE)
    maildir = Maildir(f"{home}/Maildir", create=True, shared=True)
    deliver(maildir, {"1": b"x"}, settle=False)
    shutil.move(home / "Maildir" / part, base / "moved")
    (home / "Maildir" / part).symlink_to(outside)
    with suppress(DestinationUnavailable):
        [[outcome]] = deliver(
            Maildir(f"{home}/Maildir", create=True, shared=True), {"1": b"x", "2": b"y"}
        )[:1]
        assert not isinstance(outcome, Delivered)
    assert list(outside.iterdir()) == []


# -- whose directories there can be


def test_a_maildir_of_one_user_in_a_directory_of_anothers(home: Path) -> None:
    owned(home / "bobs", BOB, mode=0o700)
    deliver(Maildir(f"{home}/{{local}}", create=True), {"1": b"x"}, ["bobs@x.example", SALES])
    assert owners(home / "bobs") == {(BOB, BOB)}
    assert owners(home / "sales") == {(ALICE, ALICE)}


def test_what_is_roots_below_a_users_directory_makes_nobody_root_again(
    base: Path, home: Path
) -> None:
    """He may have brought it there: it was writable for everybody where it was."""
    roots = owned(home / "Maildir", 0, mode=0o777)
    before = _status()
    deliver(Maildir(f"{home}/Maildir", create=True), {"1": b"x"})
    assert owners(roots) == {(ALICE, ALICE)}
    roots.chmod(0o755)
    shutil.rmtree(roots / "tmp")
    with pytest.raises(DestinationUnavailable, match="Permission denied"):
        deliver(Maildir(f"{home}/Maildir", create=True), {"2": b"x"})
    assert _status() == before


@pytest.mark.parametrize("part", ["tmp", "new"])
def test_a_directory_of_somebody_elses_inside_of_a_users_maildir_is_used_with_his_rights_only(
    home: Path, part: str
) -> None:
    maildir = Maildir(f"{home}/Maildir", create=True)
    deliver(maildir, {"1": b"x"})
    os.chown(home / "Maildir" / part, BOB, BOB)
    with pytest.raises(DestinationUnavailable, match="Permission denied"):
        deliver(Maildir(f"{home}/Maildir", create=True), {"2": b"x"})
    assert BOB not in {user for user, _ in owners(home / "Maildir" / part)}


def test_the_directories_of_a_maildir_of_roots_may_be_anybodys(base: Path) -> None:
    box = owned(base / "box", 0)
    for part in ("tmp", "new", "cur"):
        owned(box / part, ALICE, STAFF, mode=0o770)
    deliver(Maildir(str(box), create=True), {"1": b"x"})
    assert owners(box / "new") == {(ALICE, STAFF)}


@pytest.mark.parametrize(
    ("user", "group", "mode"),
    [
        (0, STAFF, 0o770),
        (0, STAFF, 0o2770),
        (0, STAFF, 0o2775),
        (ALICE, STAFF, 0o2770),
        (ALICE, 0, 0o700),
        (0, 0, 0o1777),
        (BOB, STAFF, 0o1770),
    ],
)
def test_shared_setgid_and_sticky_directories(base: Path, user: int, group: int, mode: int) -> None:
    root = owned(base / "mail", user, group, mode)
    deliver(Maildir(f"{root}/{{domain}}/{{local}}", create=True), {"1": b"x"})
    assert owners(root) == {(user, group)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")} == {0o700, 0o600}


def test_without_cur_a_maildir_gets_one_as_soon_as_it_is_needed(home: Path) -> None:
    maildir = Maildir(f"{home}/Maildir", create=True)
    deliver(maildir, {"1": b"x"}, settle=False)
    shutil.rmtree(home / "Maildir" / "cur")
    assert names(deliver(maildir, {"1": b"x"}))
    assert owners(home) == {(ALICE, ALICE)}


@pytest.mark.parametrize("part", ["tmp", "new"])
def test_an_immutable_directory_puts_off_its_own_mail_only(
    base: Path, home: Path, part: str
) -> None:
    owned(base / "bob", BOB)
    maildir = Maildir(f"{base}/{{local}}", create=True, shared=True)
    deliver(maildir, {"0": b"x"}, ["alice@x.example", "bob@x.example"])
    subprocess.run(["chattr", "+i", home / part], check=True)
    [[first, second]] = deliver(maildir, {"1": b"y"}, ["alice@x.example", "bob@x.example"])
    assert isinstance(first, Deferred)
    assert "Operation not permitted" in first.reason
    assert isinstance(second, Delivered)
    subprocess.run(["chattr", "-i", home / part], check=True)
    assert names(deliver(maildir, {"1": b"y"}, ["alice@x.example"]))
    assert contents(home) == Counter([b"x", b"y"])


def test_a_maildir_that_its_owner_may_not_write_into_is_left_alone(home: Path) -> None:
    """Root could: but it is his word."""
    deliver(Maildir(f"{home}/Maildir", create=True), {"1": b"x"})
    (home / "Maildir" / "tmp").chmod(0o500)
    with pytest.raises(DestinationUnavailable, match="Permission denied"):
        deliver(Maildir(f"{home}/Maildir", create=True), {"2": b"x"})


def test_what_is_reserved_for_root_and_what_a_quota_forbids_is_not_taken() -> None:
    """Without CAP_SYS_RESOURCE: it passes the one as it passes the other."""
    with Disk(mebibytes=16) as disk:
        subprocess.run(["tune2fs", "-m", "50", disk._device], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "remount", disk.mounted], check=True)
        home = owned(disk.mounted / "alice", ALICE)
        maildir = Maildir(f"{home}/Maildir", create=True)
        with pytest.raises(DestinationUnavailable, match="No space left on device"):
            deliver(maildir, {str(number): b"x" * (1 << 20) for number in range(16)})
        maildir.finish()
        deliver(Maildir(f"{disk.mounted}/roots", create=True), {"1": b"x" * (1 << 20)})
        free = os.statvfs(disk.mounted)
        assert free.f_bfree * free.f_bsize > 4 << 20


# -- what his file is not believed


def test_what_one_owner_does_to_his_copy_does_not_get_into_the_next_ones(
    base: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned(base / "bob", BOB)
    real = message_files.copy

    def copy(source: int, target: int, size: int) -> None:
        with acting_as(None):
            for path in (home / "tmp").iterdir():
                path.write_bytes(b"forged")
        real(source, target, size)

    monkeypatch.setattr(message_files, "copy", copy)
    maildir = Maildir(f"{base}/{{local}}", create=True, shared=True)
    deliver(maildir, {"1": b"genuine"}, ["alice@x.example", "bob@x.example"])
    assert contents(base / "bob") == Counter([b"genuine"])


def test_a_file_that_its_owner_makes_huge_is_read_no_further_than_its_mail(home: Path) -> None:
    maildir = Maildir(f"{home}/Maildir", create=True)
    staged = maildir.stage(message(), [b"mail"], [SALES])
    [name] = [path.name for path in (home / "Maildir" / "tmp").iterdir()]
    (home / "Maildir" / "new" / name).hardlink_to(home / "Maildir" / "tmp" / name)
    os.truncate(home / "Maildir" / "tmp" / name, 1 << 40)
    list(maildir.commit([staged]))
    maildir.settle([staged])
    assert sum(path.stat().st_size == 1 << 40 for path in (home / "Maildir" / "new").iterdir()) >= 1


@pytest.mark.parametrize("cleaned", [True, False])
def test_in_a_user_s_maildir_what_was_delivered_before_is_adopted(
    home: Path, cleaned: bool
) -> None:
    """`cleaned`: somebody removed the file in `tmp/` by which it would be recognised."""
    deliver(Maildir(f"{home}/Maildir", create=True), {"1": b"mail"}, settle=cleaned)
    [(outcome,)] = deliver(Maildir(f"{home}/Maildir", create=True), {"1": b"mail"})
    assert isinstance(outcome, Delivered)
    assert contents(home / "Maildir") == Counter([b"mail"])
    assert contents(home / "Maildir", "tmp") == Counter()


def test_for_several_users_the_content_is_read_once(base: Path, home: Path) -> None:
    owned(base / "bob", BOB)
    maildir = Maildir(f"{base}/{{local}}", create=True, shared=True)
    staged = maildir.stage(message(), iter([b"one ", b"mail"]), ["alice@x", "bob@x", "bob+1@x"])
    list(maildir.commit([staged]))
    maildir.settle([staged])
    assert contents(home) == contents(base / "bob") == Counter([b"one mail"])
    assert owners(base / "bob") == {(BOB, BOB)}


# -- fsck


def test_fsck_looks_and_removes_as_the_owner(base: Path, home: Path) -> None:
    template = f"{base}/{{local}}"
    deliver(Maildir(template, create=True), {"1": b"x"}, ["alice@x.example"], settle=False)
    outside = owned(base / "outside", 0, mode=0o700)
    (outside / "letter").write_text("private")
    (home / ".Folder").mkdir()
    (home / ".Folder" / "cur").symlink_to(outside)
    os.chown(home / ".Folder", ALICE, ALICE)
    maildirs = Maildirs(template)
    [place] = [place for place in maildirs.places() if place.parts == ("alice",)]
    found = maildirs.survey(place)
    assert found
    assert len(found.temporary) == len(found.untouched) == 1
    assert [(one.linked, one.stale) for one in found.temporary.values()] == [(True, False)]
    assert found.seen == frozenset()
    maildirs.remove(place, list(found.temporary))
    assert contents(home, "tmp") == Counter()
    home.chmod(0o000)
    with pytest.raises(DestinationUnavailable, match="alice: Permission denied"):
        maildirs.survey(place)


# -- the race


def test_E1_E2_E3_a_user_who_swaps_everything_without_pause_wins_nothing() -> None:
    told, won = race.race(400)
    assert won == []
    assert told["afterwards delivered"] == 1
    assert told["delivered"] > 10, told
    assert told["put off"] + told["held"] > 10, told
