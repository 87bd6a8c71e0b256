"""The collectors as the verbs see them: the interface of `daemon_client` and
`offline_collectors`, and what both raise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from reconciler.model.errors import CollectorError
from reconciler.model.selectors import EVERYTHING, Selector

if TYPE_CHECKING:  # pydantic is slow to import, and no verb's --help needs it
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from reconciler.model.outcomes import Cleared
    from reconciler.model.shown_dialogue import ShownDialogue
    from reconciler.model.status import CheckReport, Description, ShownCollector, ShownSession

    OnProgress = Callable[[str, ShownSession], None]
    OnFinished = Callable[["CollectOutcome"], None]


class CollectOutcome(NamedTuple):
    """The result of a request to collect: a session, or the reason why there was none. Both are
    None if nobody waited for the session."""

    name: str
    session: ShownSession | None = None
    error: CollectorError | None = None


class Collectors(Protocol):
    """All declared collectors. Every method raises a `CollectorError`; `UnknownCollector` where it
    takes a name."""

    @property
    def is_daemon(self) -> bool:
        """Whether a daemon collects, so that a session can be requested without waiting for it."""

    def listed(self, search: str = "", wanted: Selector = EVERYTHING) -> list[ShownCollector]:
        """Return the collectors that match `search` and the label selector `wanted`."""

    def description(self, name: str) -> Description:
        """Return everything that is known of one collector."""

    def dialogues(self, name: str) -> Sequence[ShownDialogue]:
        """Return what was said in the last sessions, the newest first."""

    def request(self, name: str, *, force: bool) -> None:
        """Ask the daemon for a session; do not wait for it."""

    def collect(
        self, names: Sequence[str], on_progress: OnProgress, on_finished: OnFinished, *, force: bool
    ) -> None:
        """Run one session of each collector; return when all have ended."""

    def clear(self, name: str) -> Cleared:
        """Forget what was collected, so that it counts as new."""

    def unpark(self, name: str) -> int:
        """Have parked messages tried again; return how many there are."""

    def accept_maildirs(self, name: str) -> None:
        """Accept the file systems that the collector's Maildirs are on now."""

    def check(self, name: str, *, force: bool) -> CheckReport:
        """Connect, log in and list; collect nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class DaemonUnreachable(CollectorError):
    """A daemon seems to run, but this process cannot talk to it."""

    reason = "DaemonUnreachable"


class UnknownCollector(CollectorError):
    """No manifest declares a collector of this name."""

    reason = "NotFound"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no collector {name!r}{suggestion(name, known)}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `: did you mean …?` with the nearest known word, or nothing."""
    import difflib  # noqa: PLC0415  # only for a wrong name

    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {nearest[0]}?" if nearest else ""


def unknown_collectors(names: Iterable[str], known: Collection[str]) -> list[UnknownCollector]:
    """Return one error for each of `names` that is not among `known`."""
    return [UnknownCollector(name, known) for name in names if name not in known]
