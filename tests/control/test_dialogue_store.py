"""Where dialogues are kept: within bounds, those that failed longest."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.control.dialogue_files import IN_FILE, DialogueFiles
from reconciler.control.dialogue_store import EACH, DialogueStore
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
    store = DialogueStore()
    given = [dialogue(number, failed=number in {1, 3, 4}) for number in range(9)]
    for one in given:
        store.add("sales", one)
    kept = store.dialogues("sales")
    assert kept == [given[8], given[7], given[4], given[3]]
    assert len(kept) == 2 * EACH
    assert store.dialogues("others") == []


def test_push_connections_that_broke_are_kept_beside_sessions_that_failed() -> None:
    store = DialogueStore()
    given = [
        dialogue(number, failed=True, what="session" if number < 3 else "push")
        for number in range(9)
    ]
    for one in given:
        store.add("sales", one)
    assert store.dialogues("sales") == [given[8], given[7], given[2], given[1]]


def test_ten_thousand_collectors_take_no_more_than_the_bound() -> None:
    bound = 200_000
    store = DialogueStore(bound=bound)
    for number in range(2000):
        store.add(f"c{number}", dialogue(number, failed=number % 20 == 0))
        assert store.octets <= bound
    failed = [number for number in range(0, 2000, 20) if store.dialogues(f"c{number}")]
    assert failed == list(range(0, 2000, 20))  # the others went first
    assert store.dialogues("c1999")
    assert not store.dialogues("c1")


def test_where_all_failed_the_oldest_goes() -> None:
    store = DialogueStore(bound=5000)
    for number in range(100):
        store.add(f"c{number}", dialogue(number, failed=True))
    assert not store.dialogues("c0")
    assert store.dialogues("c99")


def test_a_failed_session_is_in_a_private_file_and_a_good_one_or_a_check_is_not(
    tmp_path: Path,
) -> None:
    files = DialogueFiles(tmp_path / "dialogues")
    store = DialogueStore(files)
    store.add("good", dialogue())
    store.add("checked", dialogue(failed=True, what="check"))
    assert not list(tmp_path.iterdir())
    for number in range(IN_FILE + 2):
        store.add("bad", dialogue(number, failed=True))
    [path] = (tmp_path / "dialogues").iterdir()
    assert path.name == "bad.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again = DialogueStore(files).dialogues("bad")  # after a restart
    assert again == [dialogue(number, failed=True) for number in (4, 3, 2)]
    assert len(store.dialogues("bad")) == IN_FILE  # each once


def test_a_process_that_ends_keeps_everything_in_files(tmp_path: Path) -> None:
    DialogueStore(DialogueFiles(tmp_path), ends=True).add("good", dialogue())
    assert DialogueFiles(tmp_path).read("good") == [dialogue()]


def test_files_that_cannot_be_written_or_read_end_no_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DialogueStore(DialogueFiles(tmp_path / "file"))
    store.add("sales", dialogue(failed=True))
    assert len(store.dialogues("sales")) == 1
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
