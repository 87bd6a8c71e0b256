"""The collectors if no daemon runs, read from the manifests and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reconciler.app import without_daemon
from reconciler.cli import log_output
from reconciler.cli.collectors import CollectOutcome, DaemonUnreachable, UnknownCollector
from reconciler.model.collector_search import matches
from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.errors import CollectorError
from reconciler.model.outcomes import Cleared
from reconciler.model.routing_answer import Routing
from reconciler.model.selectors import EVERYTHING, Selector
from reconciler.model.settings import Settings
from reconciler.model.shown_dialogue import ShownDialogue
from reconciler.model.status import CheckReport, Description, ShownCollector

if TYPE_CHECKING:
    from reconciler.cli.collectors import OnFinished, OnProgress


class InvalidManifest(CollectorError):
    """A collector is declared, but its manifest was never valid."""

    reason = "InvalidManifest"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the manifest of {name} is not valid: `mailcollector validate` tells what is wrong"
        )


class OfflineCollectors:
    """Reads what is on disk; `collect` and `clear` own the state while they last."""

    is_daemon = False

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        log_output.configure(settings.log_format, settings.log_level)

    def listed(self, search: str = "", wanted: Selector = EVERYTHING) -> list[ShownCollector]:
        return [
            shown
            for shown in without_daemon.collectors(self._settings, self._directory)
            if matches(shown, search) and wanted.selects(shown.metadata.labels)
        ]

    def description(self, name: str) -> Description:
        self._require(name)
        return without_daemon.description(self._settings, self._directory, name)

    def dialogues(self, name: str) -> Sequence[ShownDialogue]:
        self._require(name)
        found = without_daemon.dialogues(self._settings, name)
        return tuple(map(ShownDialogue.of, found))

    def request(self, name: str, *, force: bool) -> None:  # noqa: ARG002  # as the interface has it
        raise DaemonUnreachable(
            f"no daemon runs over {self._settings.state_dir} that could collect {name} later"
        )

    def collect(
        self, names: Sequence[str], on_progress: OnProgress, on_finished: OnFinished, *, force: bool
    ) -> None:
        sessions = without_daemon.collect(
            self._settings, self._directory, names, force, on_progress
        )
        for name in names:
            session = sessions.get(name)
            on_finished(CollectOutcome(name, session, None if session else InvalidManifest(name)))

    def clear(self, name: str) -> Cleared:
        self._require(name)
        return without_daemon.clear(self._settings, self._directory, name)

    def unpark(self, name: str) -> int:
        self._require(name)
        return without_daemon.unpark(self._settings, name)

    def accept_maildirs(self, name: str) -> None:
        self._require(name)
        without_daemon.accept_maildirs(self._settings, name)

    def check(self, name: str, *, force: bool) -> CheckReport:
        self._require(name)
        return without_daemon.check(self._settings, self._directory, name, force=force)

    def consent(self, name: str, way: ConsentMethod, show: Callable[[Prompt], None]) -> str:
        """Get a refresh token; return the file that contains it."""
        self._require(name)
        return without_daemon.consent(self._settings, self._directory, name, way, show)

    def routing(self, name: str, head: bytes) -> Routing:
        """Return who would get the message that begins with `head`."""
        self._require(name)
        return without_daemon.routing(self._settings, self._directory, name, head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: nothing is held open."""

    def _require(self, name: str) -> None:
        known = [shown.metadata.name for shown in self.listed()]
        if name not in known:
            raise UnknownCollector(name, known)
