"""Open push connections whose dialogues are shown, and kept where they break."""

from __future__ import annotations

from reconciler.app.adapters import open_push, utc_now
from reconciler.app.login_secrets import LoginSecrets
from reconciler.control.dialogue_store import DialogueStore
from reconciler.model.errors import SourceError
from reconciler.model.interfaces import Push
from reconciler.model.outcomes import Outcome
from reconciler.model.session_dialogue import SessionDialogue
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector
from reconciler.wire.push_transcripts import PushTranscripts


class PushConnections:
    """Opens the push connections of all collectors, from any thread."""

    def __init__(self, settings: Settings, tokens: LoginSecrets, dialogues: DialogueStore) -> None:
        self._settings = settings
        self._tokens = tokens
        self._dialogues = dialogues
        self._transcripts = PushTranscripts()

    def open(self, collector: DesiredCollector) -> Push:
        """Return a connection, not yet begun; what is said over it is shown until it is closed,
        and kept if it breaks. Raises CollectorError."""
        transcript, started = self._transcripts.begin(), utc_now()
        end = self._dialogues.running.begin(collector.name, "push", started, transcript.lines)

        def lost(error: SourceError) -> None:
            if lines := tuple(transcript.lines()):
                failed = Outcome.FAILED.value
                self._dialogues.add(
                    collector.name,
                    SessionDialogue(
                        "push", started, utc_now(), failed, error.reason, str(error), lines
                    ),
                )

        def closed() -> None:
            end()
            self._transcripts.end(transcript)

        opened: Push | None = None
        try:
            opened = open_push(collector, self._tokens, self._settings, transcript, closed, lost)
        finally:
            if opened is None:
                closed()
        return opened
