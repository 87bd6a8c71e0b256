"""Transcripts of connections that stay open: bounded each, and all together, without secrets."""

from __future__ import annotations

from reconciler.model.secret import REDACTED, Secret
from reconciler.wire.push_transcripts import PushTranscripts
from reconciler.wire.transcript import LINES
from tests.sources.said import said

PASSWORD = "correct horse battery"


def test_days_of_lines_are_kept_by_the_first_and_the_last_ones() -> None:
    transcripts = PushTranscripts()
    transcript = transcripts.begin()
    connection = transcript.connection("imap")
    connection.received(b"* OK ready")
    for number in range(10_000):
        connection.received(b"* %d EXISTS" % number)
        if number == 2 * LINES:
            full = transcripts.octets
    lines = said(transcript)
    assert lines[:2] == ["< * OK ready", "< * 0 EXISTS"]
    assert lines[LINES] == f"… {10_001 - 2 * LINES} …"
    assert lines[-1] == "< * 9999 EXISTS"
    assert len(lines) == 2 * LINES + 1
    assert 0 <= transcripts.octets - full < 5 * LINES  # the numbers are longer, that is all
    transcripts.end(transcript)
    transcripts.end(transcript)
    assert transcripts.octets == 0
    assert said(transcript) == []


def test_what_was_opened_first_makes_room() -> None:
    transcripts = PushTranscripts(bound=20_000)
    opened = [transcripts.begin() for _ in range(20)]
    for transcript in opened:
        transcript.connection("imap").received(b"* OK ready")
        assert transcripts.octets <= 20_000
    assert said(opened[0]) == []
    opened[0].connection("imap").received(b"* OK more")
    assert said(opened[0]) == []
    assert said(opened[-1]) == ["< * OK ready"]
    for transcript in opened:
        transcripts.end(transcript)
    assert transcripts.octets == 0


def test_S1_secrets_are_removed_before_they_are_forgotten() -> None:
    transcript = PushTranscripts().begin()
    transcript.hide(Secret(PASSWORD))
    connection = transcript.connection("imap")
    connection.received(b"* OK ready for " + PASSWORD.encode())
    for _ in range(LINES + 1):
        connection.received(b"* OK or for " + PASSWORD[4:].encode())
    shown = said(transcript)
    transcript.forget_secrets()
    assert said(transcript) == shown
    assert shown[0] == f"< * OK ready for {REDACTED}"
    assert shown[-1] == f"< * OK or for {REDACTED}"
    assert "horse" not in str(vars(transcript))
