"""Open push connections whose dialogues are shown."""

from __future__ import annotations

from reconciler.app.adapters import open_push, utc_now
from reconciler.app.login_secrets import LoginSecrets
from reconciler.control.running_dialogues import RunningDialogues
from reconciler.model.interfaces import Push
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector
from reconciler.wire.push_transcripts import PushTranscripts


class PushConnections:
    """Opens the push connections of all collectors, from any thread."""

    def __init__(
        self, settings: Settings, tokens: LoginSecrets, dialogues: RunningDialogues
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._dialogues = dialogues
        self._transcripts = PushTranscripts()

    def open(self, collector: DesiredCollector) -> Push:
        """Return a connection, not yet begun; what is said over it is shown until it is closed.
        Raises CollectorError."""
        transcript = self._transcripts.begin()
        end = self._dialogues.begin(collector.name, "push", utc_now(), transcript.lines)

        def closed() -> None:
            end()
            self._transcripts.end(transcript)

        opened: Push | None = None
        try:
            opened = open_push(collector, self._tokens, self._settings, transcript, closed)
        finally:
            if opened is None:
                closed()
        return opened
