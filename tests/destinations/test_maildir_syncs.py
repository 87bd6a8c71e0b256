"""What is synced, and before what: a power cut takes everything that was not (hazards L10, D13).
The walk that cuts the power sees few of these, because a file system writes more than it is asked
to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.destinations.maildir import Maildir, directories
from tests.destinations.maildirs import SALES, deliver, message

MAILS = 257
"""One more than may wait with their descriptors open."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Calls in their order: `fsync PATH`, `link PATH`, `unlink PATH`; a file's path is the first
    that it had."""
    found: list[str] = []
    monkeypatch.setattr(directories, "_synced", set())
    for call in ("fsync", "link", "unlink"):
        monkeypatch.setattr(os, call, _noted(getattr(os, call), call, found))
    yield found
    monkeypatch.undo()


def _noted(real: object, call: str, found: list[str]) -> object:
    def noted(what: int | str, *args: object, **kwargs: int) -> object:
        at = kwargs.get("dst_dir_fd", kwargs.get("dir_fd"))
        path = _path(what) if at is None else f"{_path(at)}/{what}"
        result = real(what, *args, **kwargs)  # type: ignore[operator]
        found.append(f"{call} {path}")
        return result

    return noted


def _path(descriptor: int | str) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def test_L10_every_file_is_synced_then_tmp_then_all_are_linked_then_new(
    tmp_path: Path, seen: list[str]
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True)
    mails = {str(number): b"mail %d" % number for number in range(MAILS)}
    deliver(maildir, mails)

    tmp, new = tmp_path / "sales" / "tmp", tmp_path / "sales" / "new"
    files = {path.name for path in new.iterdir()}
    assert len(files) == MAILS
    synced = {name: seen.index(f"fsync {tmp}/{name}") for name in files}
    linked = {name: seen.index(f"link {new}/{name}") for name in files}
    [tmp_synced] = [
        place
        for place, call in enumerate(seen)
        if call == f"fsync {tmp}" and place > max(synced.values())
    ]
    new_synced = max(place for place, call in enumerate(seen) if call == f"fsync {new}")
    removed = {name: seen.index(f"unlink {tmp}/{name}") for name in files}
    assert max(synced.values()) < tmp_synced < min(linked.values())
    assert max(linked.values()) < new_synced < min(removed.values())


def test_directories_that_are_made_are_synced_above_as_well(
    tmp_path: Path, seen: list[str]
) -> None:
    deliver(Maildir(f"{tmp_path}/mail/{{domain}}/{{local}}", create=True), {"1": b"x"})
    box = tmp_path / "mail" / "икс.рф" / "sales"
    first = next(place for place, call in enumerate(seen) if call.startswith("link "))
    for above in (tmp_path, tmp_path / "mail", box.parent, box):
        assert f"fsync {above}" in seen[:first], above


def test_what_an_earlier_life_made_and_did_not_sync_is_synced_once(
    tmp_path: Path, seen: list[str]
) -> None:
    box = tmp_path / "икс.рф" / "sales"
    for part in ("tmp", "new", "cur"):
        (box / part).mkdir(parents=True)
    maildir = Maildir(f"{tmp_path}/{{domain}}/{{local}}", create=True)
    deliver(maildir, {"1": b"x"})
    first = next(place for place, call in enumerate(seen) if call.startswith("link "))
    assert {f"fsync {above}" for above in (tmp_path, box.parent, box)} <= set(seen[:first])
    seen.clear()
    deliver(maildir, {"2": b"x"})
    assert f"fsync {box}" not in seen


def test_what_is_adopted_is_made_durable_where_a_mail_program_may_have_moved_it(
    tmp_path: Path, seen: list[str]
) -> None:
    maildir = Maildir(f"{tmp_path}/{{local}}", create=True)
    deliver(maildir, {"1": b"x"}, settle=False)
    [delivered] = (tmp_path / "sales" / "new").iterdir()
    delivered.rename(tmp_path / "sales" / "cur" / f"{delivered.name}:2,S")
    seen.clear()
    staged = maildir.stage(message(), [b"x"], [SALES])
    list(maildir.commit([staged]))
    assert {f"fsync {tmp_path}/sales/{part}" for part in ("cur", "new", "tmp")} <= set(seen)
    assert not any(call.startswith(("link ", f"unlink {delivered}")) for call in seen)
