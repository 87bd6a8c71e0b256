"""Where dialogues are kept: within bounds, those that failed longest."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.control.dialogue_files import IN_FILE, DialogueFiles
from reconciler.control.dialogue_shelf import EACH, DialogueShelf
from reconciler.model.history import KEPT
from reconciler.model.session_dialogue import DialogueLine, Direction, SessionDialogue

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def dialogue(number: int = 0, *, failed: bool = False, what: str = "session") -> SessionDialogue:
    began = BEGIN + timedelta(minutes=number)
    lines = tuple(
        DialogueLine(at / 100, "imap", Direction.RECEIVED, f"* {at * 7919} EXISTS and more")
        for at in range(20)
    )
    return SessionDialogue(
        what,
        began,
        began + timedelta(seconds=1),
        "failed" if failed else "succeeded",
        "ConnectionFailed" if failed else "",
        "gone" if failed else "",
        lines,
    )


def test_the_last_ones_of_a_collector_are_kept_and_those_that_failed_beside_them() -> None:
    shelf = DialogueShelf()
    given = [dialogue(number, failed=number in {1, 3, 4}) for number in range(9)]
    for one in given:
        shelf.keep("sales", one)
    kept = shelf.dialogues("sales")
    assert kept == [given[8], given[7], given[4], given[3]]
    assert len(kept) == 2 * EACH
    assert shelf.dialogues("others") == []


def test_ten_thousand_collectors_take_no_more_than_the_bound() -> None:
    bound = 200_000
    shelf = DialogueShelf(bound=bound)
    for number in range(2000):
        shelf.keep(f"c{number}", dialogue(number, failed=number % 20 == 0))
        assert shelf.octets <= bound
    failed = [number for number in range(0, 2000, 20) if shelf.dialogues(f"c{number}")]
    assert failed == list(range(0, 2000, 20))  # the others went first
    assert shelf.dialogues("c1999")
    assert not shelf.dialogues("c1")


def test_where_all_failed_the_oldest_goes() -> None:
    shelf = DialogueShelf(bound=5000)
    for number in range(100):
        shelf.keep(f"c{number}", dialogue(number, failed=True))
    assert not shelf.dialogues("c0")
    assert shelf.dialogues("c99")


def test_a_failed_session_is_in_a_private_file_and_a_good_one_or_a_check_is_not(
    tmp_path: Path,
) -> None:
    files = DialogueFiles(tmp_path / "dialogues")
    shelf = DialogueShelf(files)
    shelf.keep("good", dialogue())
    shelf.keep("checked", dialogue(failed=True, what="check"))
    assert not list(tmp_path.iterdir())
    for number in range(IN_FILE + 2):
        shelf.keep("bad", dialogue(number, failed=True))
    [path] = (tmp_path / "dialogues").iterdir()
    assert path.name == "bad.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again = DialogueShelf(files).dialogues("bad")  # after a restart
    assert again == [dialogue(number, failed=True) for number in (4, 3, 2)]
    assert len(shelf.dialogues("bad")) == IN_FILE  # each once


def test_a_process_that_ends_keeps_everything_in_files(tmp_path: Path) -> None:
    DialogueShelf(DialogueFiles(tmp_path), ends=True).keep("good", dialogue())
    assert DialogueFiles(tmp_path).read("good") == [dialogue()]


def test_files_that_cannot_be_written_or_read_end_no_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shelf = DialogueShelf(DialogueFiles(tmp_path / "file"))
    shelf.keep("sales", dialogue(failed=True))
    assert len(shelf.dialogues("sales")) == 1
    files = DialogueFiles(tmp_path)
    for name, text in (("broken", "{"), ("other", '["x"]'), ("huge", "[" * 1000)):
        (tmp_path / f"{name}.json").write_text(text)
        assert not files.read(name)
    (tmp_path / "link.json").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("link", "pipe", "missing", "../file", "A", ""):
        assert not files.read(name)


def test_files_of_long_ago_are_removed(tmp_path: Path) -> None:
    files = DialogueFiles(tmp_path / "dialogues")
    files.forget_old()
    files.add("old", dialogue())
    files.add("new", dialogue())
    long_ago = time.time() - KEPT.total_seconds() - 60
    os.utime(tmp_path / "dialogues" / "old.json", (long_ago, long_ago))
    files.forget_old()
    assert not files.read("old")
    assert files.read("new")
