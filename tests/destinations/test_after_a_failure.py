"""What a delivery does after a failure: a dialogue out of step, a directory it cannot read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.destinations.maildir import acting_as_owner, directories, maildir_audit
from reconciler.destinations.maildir.directories import Directory
from reconciler.destinations.maildir.mailbox_paths import MailboxPath
from reconciler.destinations.maildir.staging import SharedContent
from reconciler.destinations.transfer.transfer_dialogue import TransferDialogue
from reconciler.model.errors import ConnectionFailed, DestinationUnavailable


@pytest.mark.parametrize(
    ("answer", "over"),
    [
        pytest.param(SimpleNamespace(succeeded=True), False, id="accepted"),
        pytest.param(SimpleNamespace(succeeded=False), True, id="refused"),
        pytest.param(ConnectionFailed("it is silent"), True, id="silence"),
        pytest.param(DestinationUnavailable("421"), True, id="closing"),
    ],
)
def test_a_dialogue_whose_reset_failed_is_used_no_more(answer: Any, over: bool) -> None:
    def ask(_: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    dialogue: Any = TransferDialogue.__new__(TransferDialogue)
    dialogue.over, dialogue.ask = False, ask
    dialogue.reset()
    assert dialogue.over is over


@pytest.mark.parametrize(
    ("number", "at", "found"),
    [
        pytest.param(errno.EACCES, "example", ["example"], id="one domain's directory"),
        pytest.param(errno.EACCES, "", None, id="the directory of all"),
        pytest.param(errno.EIO, "example", None, id="the disk"),
    ],
)
def test_a_directory_that_cannot_be_read_hides_its_own_mail_only(
    number: int, at: str, found: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "example").mkdir()
    opened = directories.opened

    @contextmanager
    def failing(mailbox: MailboxPath) -> Iterator[Directory]:
        if "/".join(mailbox.parts) == at:
            raise OSError(number, "no")
        with opened(mailbox) as directory:
            yield directory

    monkeypatch.setattr(directories, "opened", failing)
    maildirs = maildir_audit.Maildirs(f"{tmp_path}/{{domain}}/{{local}}")
    if found is None:
        with pytest.raises((OSError, DestinationUnavailable)):
            list(maildirs.places())
    else:
        assert ["/".join(each.parts) for each in maildirs.places()] == found


@pytest.mark.parametrize("capget", [0, -1])
def test_an_owner_whose_quota_would_not_hold_is_not_acted_as(
    capget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel knows no capabilities, there are none to give up."""
    library = SimpleNamespace(capget=lambda *_: capget, capset=lambda *_: -1)
    monkeypatch.setattr(acting_as_owner, "_library", lambda: library)
    monkeypatch.setattr(acting_as_owner, "_identity", SimpleNamespace(limited=False))
    if capget == 0:
        with pytest.raises(PermissionError, match="CAP_SETUID"):
            acting_as_owner._obey_quotas()
    else:
        acting_as_owner._obey_quotas()
    assert acting_as_owner._identity.limited is (capget != 0)


def test_a_message_of_which_a_part_was_written_cannot_be_copied_from_there(tmp_path: Path) -> None:
    original = SharedContent([b"one", b"two"])
    (tmp_path / "full").touch()
    full = os.open(tmp_path / "full", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        original.write(full, None, more=True)
    os.close(full)
    assert original.lost
    fine = SharedContent([b"one", b"two"])
    taken = os.open(tmp_path / "fine", os.O_WRONLY | os.O_CREAT)
    fine.write(taken, None, more=False)
    os.close(taken)
    assert (fine.lost, fine.size, (tmp_path / "fine").read_bytes()) == (False, 6, b"onetwo")
