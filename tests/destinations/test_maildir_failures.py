"""Disks that fail: hazards D1, D2, D3. Nothing unreported is in `new` then, and the next attempt
mends it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.destinations.maildir import Maildir, directories
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered
from tests.descriptors import open_descriptors
from tests.destinations.maildirs import CHANGING, SALES, Failing, contents, deliver, message

MAILS = {str(key): b"mail %d" % key for key in range(3)}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "sales"


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(f"{tmp_path}/{{local}}", create=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_D1_a_file_that_does_not_fit_leaves_nothing(
    maildir: Maildir, box: Path, small_files: None
) -> None:
    deliver(maildir, {"1": b"x" * 5000})
    with pytest.raises(DestinationUnavailable, match="sales: File too large; raise the limit"):
        maildir.stage(message("2"), [b"x" * 4000, b"x" * 4000], [SALES])
    assert contents(box, "tmp", "new") == Counter([b"x" * 5000])


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
@pytest.mark.parametrize(
    ("at", "code"),
    [
        (1, errno.ENOSPC),
        (2, errno.EDQUOT),
        (3, errno.EIO),
        (4, errno.EROFS),
        (5, errno.EACCES),
        (6, errno.EIO),
    ],
)
def test_D1_D2_D3_nothing_unreported_is_in_new(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int, code: int
) -> None:
    deliver(maildir, {"before": b"mail"})
    monkeypatch.setattr(directories, "_synced", set())
    failing = Failing(monkeypatch, call)
    failing.fail(code, at)

    reported = _deliver_until_it_fails(maildir)
    failing.heal()

    assert contents(box) == Counter([b"mail", *(MAILS[key] for key in reported)])
    assert contents(box, "tmp") == Counter()
    deliver(maildir, {key: mail for key, mail in MAILS.items() if key not in reported})
    assert contents(box) == Counter([b"mail", *MAILS.values()])


def _deliver_until_it_fails(maildir: Maildir) -> list[str]:
    """The keys of what was reported as delivered."""
    staged = []
    reported: list[str] = []
    keys = iter(MAILS)
    try:
        for key, content in MAILS.items():
            staged.append(maildir.stage(message(key), [content], [SALES]))
        for _ in maildir.commit(staged):
            # what was reported before a failure counts
            reported.append(next(keys))  # noqa: PERF401
    except DestinationUnavailable as error:
        assert "/sales" in str(error)  # noqa: PT017
        assert "; " in str(error)  # noqa: PT017
        maildir.discard(staged[len(reported) :])
    maildir.settle(staged[: len(reported)])
    return reported


def test_D1_what_was_linked_before_the_failure_is_reported(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = [maildir.stage(message(key), [mail], [SALES]) for key, mail in MAILS.items()]
    Failing(monkeypatch, "link").fail(errno.ENOSPC, 3, only=False)

    done: list[object] = []
    with pytest.raises(DestinationUnavailable, match="No space left on device; make room"):
        done.extend(mail for mail, _ in maildir.commit(staged))

    assert done == staged[:2]
    assert contents(box, "new") == Counter([b"mail 0", b"mail 1"])
    assert contents(box, "tmp") == Counter([b"mail 0", b"mail 1"])  # until it is recorded


def test_D2_a_file_is_never_synced_twice(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        synced.append(inode)
        if len(synced) == 1:
            keep.append(os.dup(descriptor))  # so that the number of the inode is not used again
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    keep: list[int] = []
    monkeypatch.setattr(os, "fsync", fsync)
    box.mkdir()
    for name in ("tmp", "new", "cur"):
        (box / name).mkdir()
    staged = maildir.stage(message(), [b"mail"], [SALES])
    with pytest.raises(DestinationUnavailable, match="the disk fails"):
        list(maildir.commit([staged]))
    maildir.discard([staged])
    deliver(maildir, {"1": b"mail"})

    assert synced.count(synced[0]) == 1
    assert contents(box) == Counter([b"mail"])
    os.close(keep[0])


def test_D1_a_new_directory_that_is_not_durable_takes_its_mail_back(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(maildir, {"0": b"first"})
    staged = [
        maildir.stage(message(key), [mail], [SALES]) for key, mail in MAILS.items() if key != "0"
    ]
    moved = box / "cur" / "moved:2,S"
    _fail_fsync_of(
        monkeypatch,
        box / "new",
        lambda: next(
            path for path in (box / "new").iterdir() if path.read_bytes() == b"mail 1"
        ).rename(moved),
    )

    with pytest.raises(DestinationUnavailable):
        list(maildir.commit(staged))
    maildir.discard(staged)
    monkeypatch.undo()
    assert contents(box, "new") == Counter([b"first"])
    assert contents(box, "tmp") == Counter([b"mail 1"])  # so that this is recognised

    deliver(maildir, {"1": b"mail 1", "2": b"mail 2"})
    assert contents(box) == Counter([b"first", b"mail 1", b"mail 2"])
    assert contents(box, "tmp") == Counter()


def test_D1_what_an_earlier_run_delivered_is_not_taken_back(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may know this file already, and nothing says that it is not durable."""
    deliver(maildir, {"1": b"mail 1"}, settle=False)
    _fail_fsync_of(monkeypatch, box / "new", lambda: None)
    with pytest.raises(DestinationUnavailable):
        deliver(maildir, {"1": b"mail 1", "2": b"mail 2"})
    assert contents(box, "new") == Counter([b"mail 1"])


def _fail_fsync_of(monkeypatch: pytest.MonkeyPatch, directory: Path, before: object) -> None:
    real, inode = os.fsync, directory.stat().st_ino

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == inode:
            before()  # type: ignore[operator]
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_D3_without_permission_it_says_where_and_how_to_mend(
    maildir: Maildir, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, "mkdir").fail(errno.EACCES)
    with pytest.raises(
        DestinationUnavailable, match=f"cannot deliver to {box}: Permission denied; let the user"
    ):
        deliver(maildir, MAILS)


def test_D3_a_missing_root_is_held_where_nothing_is_to_be_made(tmp_path: Path) -> None:
    maildir = Maildir(f"{tmp_path}/mnt/{{local}}", create=False)
    with pytest.raises(DestinationUnavailable, match="No such file or directory; mount it"):
        deliver(maildir, MAILS)


def test_D3_a_root_that_was_removed_is_made_again(tmp_path: Path) -> None:
    maildir = Maildir(f"{tmp_path}/mail/{{local}}", create=True)
    deliver(maildir, {"1": b"mail"})
    (tmp_path / "mail").rename(tmp_path / "elsewhere")
    deliver(maildir, {"2": b"mail"})
    assert contents(tmp_path / "mail" / "sales") == Counter([b"mail"])


@pytest.mark.parametrize("call", ["open", *CHANGING])
def test_no_descriptor_is_left_open(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    deliver(maildir, {"before": b"mail"})
    before = open_descriptors()
    failing = Failing(monkeypatch, call)
    for at in range(1, 20):
        failing.fail(errno.EIO, at)
        staged = []
        try:
            for key, content in MAILS.items():
                staged.append(maildir.stage(message(f"{at}-{key}"), [content], [SALES, "info@x"]))
            list(maildir.commit(staged))
            maildir.settle(staged)
        except DestinationUnavailable:
            failing.heal()
            maildir.discard(staged)
    assert open_descriptors() == before


OTHER = "info@икс.рф"


@pytest.mark.parametrize("shared", [True, False])
def test_D3_a_file_in_tmp_that_cannot_be_removed_is_told_where_it_concerns_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True, shared=shared)
    staged = maildir.stage(message("1"), [b"one"], [SALES])
    list(maildir.commit([staged]))
    Failing(monkeypatch, "unlink").fail(errno.EACCES)
    with contextlib.nullcontext() if shared else pytest.raises(DestinationUnavailable):
        maildir.settle([staged])
    monkeypatch.undo()
    assert contents(tmp_path / "sales") == Counter([b"one"])
    assert contents(tmp_path / "sales", "tmp") == Counter([b"one"])


@pytest.mark.parametrize("call", ["create", "write", "fsync", "link"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EDQUOT])
def test_D1_D3_a_mailbox_that_takes_nothing_puts_off_its_own_mail_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True, shared=True)
    for name in (SALES, OTHER):
        deliver(maildir, {"before": b"mail"}, [name])
    failing = Failing(monkeypatch, call)
    failing.fail(code)
    if call == "link":  # then it would be a rename
        Failing(monkeypatch, "rename").fail(code)
    staged = [
        maildir.stage(message("1"), [b"one"], [SALES]),
        maildir.stage(message("2"), [b"two"], [OTHER]),
    ]
    [(first,), (second,)] = [outcomes for _, outcomes in maildir.commit(staged)]
    maildir.settle(staged)

    assert first == Deferred(SALES, first.reason)  # type: ignore[union-attr]
    assert str(tmp_path / "sales") in first.reason
    assert isinstance(second, Delivered)
    assert contents(tmp_path / "sales", "tmp", "new", "cur") == Counter([b"mail"])
    assert contents(tmp_path / "info") == Counter([b"mail", b"two"])
    failing.heal()
    deliver(maildir, {"1": b"one"})
    assert contents(tmp_path / "sales") == Counter([b"mail", b"one"])


def test_D1_a_message_that_one_mailbox_took_in_part_waits_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True, shared=True)
    failing = Failing(monkeypatch, "write")
    failing.fail(errno.EDQUOT, 2)
    content = iter([b"one ", b"two ", b"three"])
    staged = maildir.stage(message("1"), content, [SALES, OTHER])
    assert next(content, None) is None  # the source needs it read all the same
    [(_, outcomes)] = maildir.commit([staged])
    maildir.settle([staged])
    assert [type(outcome) for outcome in outcomes] == [Deferred, Deferred]
    failing.heal()
    [outcomes] = deliver(maildir, {"1": b"one two three"}, [SALES, OTHER])
    assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered]
    assert (
        contents(tmp_path / "info") == contents(tmp_path / "sales") == Counter([b"one two three"])
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_D1_D2_D3_what_is_everybodys_trouble_stops_the_others_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True, shared=True)
    Failing(monkeypatch, "write").fail(code)
    with pytest.raises(DestinationUnavailable):
        maildir.stage(message("1"), [b"one"], [SALES])


def test_D3_a_root_that_may_not_be_written_to_is_everybodys_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True, shared=True)
    Failing(monkeypatch, "mkdir").fail(errno.EACCES)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for a user who is not root
    with pytest.raises(DestinationUnavailable, match="Permission denied; let the user"):
        maildir.stage(message("1"), [b"one"], [SALES])
