"""`reconciler.app.run_command` and `reconciler.app.without_daemon` as far as the verbs call them,
over collectors in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler.model.outcomes import Cleared
from reconciler.model.routing_answer import Considered, RoutedRecipient, Routing
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport, Description, ShownCollector, ShownSession
from tests.cli import samples

ROUTING = Routing(
    (
        RoutedRecipient("раз@икс.рф", "delivered-to", "Delivered-To", 12, "mailboxes"),
        RoutedRecipient("info@икс.рф", "default", None, None, "default"),
    ),
    reason="smtputf8-missing",
    considered=(
        Considered("Delivered-To", 12, "РАЗ@почта.рф", "recipient"),
        Considered("Delivered-To", 12, "a\u202eb@почта.рф", "no-address"),
    ),
)


class FakeApp:
    def __init__(self, collectors: Sequence[ShownCollector]) -> None:
        self.declared = list(collectors)
        self.sessions: dict[str, ShownSession] = {}
        self.ran: list[tuple[Settings, Path, bool]] = []
        self.cleared: list[str] = []
        self.forced: list[bool] = []
        self.routed: list[bytes] = []
        self.code = 0
        self.error: Exception | None = None

    def run(
        self, settings: Settings, directory: Path, once: bool, allow_empty: bool = False
    ) -> int:
        self.ran.append((settings, directory, once))
        if self.error:
            raise self.error
        return self.code

    def collectors(self, settings: Settings, directory: Path) -> list[ShownCollector]:
        if self.error:
            raise self.error
        return self.declared

    def description(self, settings: Settings, directory: Path, name: str) -> Description:
        return next(samples.description(one) for one in self.declared if one.metadata.name == name)

    def collect(
        self,
        settings: Settings,
        directory: Path,
        names: Sequence[str],
        force: bool,
        on_progress: Callable[[str, ShownSession], None],
    ) -> dict[str, ShownSession]:
        self.forced.append(force)
        for name in names:
            on_progress(
                name, self.sessions[name].model_copy(update={"finished_at": None, "collected": 1})
            )
        return {name: self.sessions[name] for name in names}

    def clear(self, settings: Settings, directory: Path, name: str) -> Cleared:
        self.cleared.append(name)
        return Cleared(epoch=3, forgotten=1234)

    def routing(self, settings: Settings, directory: Path, name: str, head: bytes) -> Routing:
        self.routed.append(head)
        return ROUTING

    def check(self, settings: Settings, directory: Path, name: str, *, force: bool) -> CheckReport:
        return samples.check_report(name=name)
