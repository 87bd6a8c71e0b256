"""Dialogues that are not over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.control.dialogue_store import DialogueStore
from reconciler.model.session_dialogue import RUNNING, SessionDialogue
from reconciler.wire.transcript import Transcript

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_runs_is_shown_until_it_is_over_and_never_twice() -> None:
    store = DialogueStore()
    transcript = Transcript()
    end = store.running.begin("sales", "session", BEGIN, transcript.lines)
    other = store.running.begin("sales", "push", BEGIN + timedelta(hours=1), transcript.lines)
    assert store.dialogues("sales") == []  # nothing was said yet
    transcript.connection("imap").received(b"* OK ready")
    push, session = store.dialogues("sales")
    assert (push.what, session.what) == ("push", "session")
    assert session.outcome == RUNNING
    assert session.finished_at is None
    assert not session.failed
    assert [line.text for line in session.lines] == ["* OK ready"]
    assert store.dialogues("others") == []
    finished = SessionDialogue(
        "session", BEGIN, BEGIN, "succeeded", "", "", tuple(transcript.lines())
    )
    store.add("sales", finished)
    assert store.dialogues("sales") == [push, finished]
    end()
    end()
    other()
    assert store.dialogues("sales") == [finished]
