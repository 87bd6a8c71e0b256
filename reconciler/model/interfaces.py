"""The adapters as the session sees them. Every adapter is one of these and knows none of the
others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from reconciler.model.history import (
    AccountState,
    Alert,
    DeclaredCollector,
    Declaring,
    FailedMessage,
    History,
    LastGood,
    ParkedMessage,
    Retry,
)
from reconciler.model.messages import Deletion, DeliveryId, Fetched, Folder, Listed, Listing, Pace
from reconciler.model.outcomes import (
    Adoption,
    DeliveryOutcome,
    Entry,
    Orphan,
    Record,
    SessionReport,
)
from reconciler.model.secret import Secret
from reconciler.mounts import Mount


class Source(Protocol):
    """One connection to one account, for one session, used from one thread. Every method may raise
    a `SourceError`."""

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        """Log in if need be, then list each folder. `writable`: messages are going to be
        deleted."""

    @property
    def account_state(self) -> str:
        """How the account stood when it was listed, to be kept for `unchanged`; "" when that cannot
        be told."""

    def unchanged(self, state: str, *, writable: bool) -> bool:
        """Log in, and say whether the very same messages are there as when this state was kept,
        at less cost than listing them. False whenever that is in doubt; `listings` may follow then.
        """

    def fetch(
        self, folder: Folder, messages: Sequence[Listed], pace: Pace = Pace.AHEAD
    ) -> Iterator[Fetched]:
        """Each of `messages` once, more or less in order; see `Arrival` for how content is read.
        What comes next may be asked for ahead, within bounds, so that nothing else may be asked of
        the source before the end."""

    @property
    def alerts(self) -> Sequence[str]:
        """What the server wants people to be told, over all connections of the session: fit to be
        shown, bounded."""

    @property
    def suspects(self) -> Sequence[Listed]:
        """After `fetch` has failed: the messages of which one may be the cause. What else was asked
        for, and has not come, is only to be asked for again."""

    def reconnect(self) -> None:
        """Leave the connection as it is, and log in once more, within the time of the same session.
        Folders that were listed can be fetched from again under the same keys; one of which that
        cannot be said is a `FolderFailed`."""

    def headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterator[tuple[Listed, bytes | None]]:
        """The header block of each, in any order, up to its empty line, CRLF line ends; None where
        it cannot be had by itself, or not as it is stored. What has vanished is left out."""

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        """Delete from the server. Only called for what the ledger records as collected."""

    def finish(self) -> Deletion:
        """Log out. POP3 commits its deletes here (RFC 1939, section 6): what was pending is settled
        now."""

    def abort(self) -> None:
        """Break the connection at once, from any thread; the thread that waits in it gets a
        `ConnectionFailed`. Also how a connection is closed after an error: harmless when it is
        closed already."""


class Push(Protocol):
    """A connection on which a server tells of new mail. Nothing but `begin` blocks."""

    def begin(self) -> None:
        """Connect, log in, ask to be told. Raises `SourceUnsuitable` where the server cannot, or a
        `SourceError`."""

    def abort(self) -> None:
        """Break off a `begin`, from any thread."""

    def fileno(self) -> int:
        """To be watched for something to read."""

    def take(self) -> bool:
        """Read what has come: whether new mail has. Raises a `SourceError` when the connection is
        of no use now."""

    def renew(self) -> None:
        """Ask again, so that nobody on the way takes the connection for dead. Raises a
        `SourceError`."""

    @property
    def listening(self) -> bool:
        """The server has answered the last asking."""

    def close(self) -> None: ...


class Staged(Protocol):
    """A message on its way into a destination: its bytes are there, nobody can see it yet."""

    @property
    def size(self) -> int:
        """Octets as they will be stored."""


S = TypeVar("S", bound=Staged)


class MailDestination(Protocol[S]):
    """Where mail is delivered to, for one session; every method may raise `DestinationUnavailable`,
    which concerns everybody; what concerns one recipient is an outcome. Where `batch_size` is more
    than 1, one thread stages while another one commits and settles the batch before; else there is
    one thread only."""

    @property
    def batch_size(self) -> int:
        """How many messages may be staged before they are committed: 1 where a repeat cannot be
        recognised."""

    def exists(self, address: str) -> bool | None:
        """Whether this mailbox exists; None when only a delivery can tell."""

    def stage(self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]) -> S:
        """Take the message's bytes (LF line ends) to where committing it is cheap. On any error
        nothing remains."""

    def commit(self, staged: Sequence[S]) -> Iterator[tuple[S, tuple[DeliveryOutcome, ...]]]:
        """Deliver; each is durable when it is yielded. Messages come in order, recipients as they
        were staged."""

    def settle(self, staged: Sequence[S]) -> None:
        """The ledger has recorded these: whatever was kept to recognise them after a crash may
        go."""

    def discard(self, staged: Sequence[S]) -> None:
        """Not committed after all: remove every trace."""

    def deliverable(self, address: str) -> bool:
        """Whether the destination can carry such an address at all (SMTPUTF8, RFC 6531)."""

    def check(self) -> str:
        """A sentence that says what is there, found out without delivering anything."""

    def finish(self) -> None:
        """The session is over. Raises nothing."""

    def abort(self) -> None:
        """Break off whatever hangs, from any thread."""


class Entries(Mapping[str, Entry]):
    """What is recorded of a folder, by key; the latest, where a key occurred repeatedly. A history
    may hold millions, so it is asked for what is needed; whoever uses it as a mapping has all of it
    read. Every method may raise `LedgerUnavailable`."""

    @abstractmethod
    def of(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """What is recorded of these; of the same keys again at no cost."""

    @abstractmethod
    def latest_uid(self) -> int:
        """The greatest key as a number (IMAP)."""

    @abstractmethod
    def any_left(self) -> bool:
        """Whether anything is recorded that is not recorded as deleted."""

    @abstractmethod
    def more_left_than(self, count: int) -> bool:
        """Whether the content of more messages than that is recorded which are not recorded as
        deleted."""


class MountMemory(Protocol):
    """Which file systems mail was delivered to, for one collector's sessions. Thread-safe; durable
    when a call returns. Every method may raise `LedgerUnavailable`."""

    def mounts(self) -> Mapping[str, Mount]:
        """By mount point."""

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        """In place of those at the points `instead`."""

    def accepted(self) -> bool:
        """Whether somebody said that the Maildirs are meant to be where they are now."""

    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:
        """Recipients and names of copies of the messages that were recorded last, latest first."""


class Ledger(Protocol):
    """What was collected, delivered and deleted. Thread-safe; a write is durable when the call
    returns, but for `record_session`, `keep_alerts` and `keep_account_state`, which a power cut may
    take back. Every method may raise `LedgerUnavailable`."""

    def identity(self, collector: str) -> tuple[str, int]:
        """What its deliveries are named after: the name that it had first, and the epoch."""

    def hold(self) -> None:
        """LeaseLost where the ledger is another process's by now: then nothing may be deleted from
        a server."""

    def known(self, collector: str, folder: Folder) -> Mapping[str, Entry]:
        """What is recorded of this folder in the current epoch, by key; `Entries` where there may
        be very much."""

    def record(
        self, collector: str, folder: Folder, records: Sequence[Record], now: datetime
    ) -> None:
        """Add to or replace what is known of these messages, in one commit; attempts of failed ones
        add up."""

    def record_deleted(
        self, collector: str, folder: Folder, keys: Iterable[str], now: datetime
    ) -> None:
        """The server confirmed that these are gone."""

    def current(self, collector: str, folder: Folder) -> Folder:
        """The folder under its latest numbering (`Folder.renumbered`); `folder` itself where there
        was no other."""

    def orphaned(self, collector: str, folders: Sequence[Folder]) -> bool:
        """Whether there may be orphans: whether messages of other folders than these are known that
        may still be on a server."""

    def orphans(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str], content: str = ""
    ) -> Sequence[Orphan]:
        """Those of other folders than these whose headers have one of these digests, oldest record
        first; of those with this `content`, where it is given, no more than can be of use."""

    def orphans_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        """How many there are with each of these headers; those that none has are left out."""

    def listed_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        """How many messages of these folders, recorded as LISTED, have each of these headers."""

    def adopt(
        self, collector: str, folder: Folder, adoptions: Sequence[Adoption], now: datetime
    ) -> None:
        """Records and their deliveries move to `folder`, in one commit."""

    def record_session(self, collector: str, report: SessionReport) -> None: ...

    def alerts(self, collector: str) -> Sequence[Alert]:
        """What the server told people last."""

    def keep_alerts(self, collector: str, alerts: Sequence[Alert]) -> None: ...

    def account_state(self, collector: str) -> AccountState | None:
        """What was kept of the last listing, if nothing else was recorded since."""

    def keep_account_state(self, collector: str, epoch: int, state: AccountState) -> None:
        """Until something is recorded of any message, deleted, unparked or declared anew, or
        another epoch begins."""


class Registry(Protocol):
    """What the control loop keeps in the same store as the ledger. Thread-safe; durable when a call
    returns. Every method may raise `LedgerUnavailable`."""

    def declare_all(
        self, declaring: Sequence[Declaring], now: datetime
    ) -> Mapping[str, DeclaredCollector]:
        """These collectors are declared, each once, in one commit. A digest other than the recorded
        one raises the generation; a change of mode into all-delete begins a new epoch; a retired
        collector gets its history back."""

    def rename(self, names: Mapping[str, str]) -> Collection[str]:
        """The histories of these go on under other names (old to new), in one commit; those for
        which that is done, or was done before. It is not where the new name has a history of its
        own. What was delivered, or begun, keeps its identity: `Ledger.identity`."""

    def retire(self, name: str, now: datetime) -> None:
        """Declared no longer. Its history is kept 30 days."""

    def histories(self, names: Iterable[str] | None = None) -> Mapping[str, History]:
        """Of every collector that is not retired, or of these."""

    def sessions(self, name: str, limit: int = 20) -> Sequence[SessionReport]:
        """The last sessions, newest first."""

    def parked(self, name: str, limit: int = 1000) -> Sequence[ParkedMessage]:
        """What is parked in the current epoch, oldest first."""

    def failing(self, name: str, limit: int = 1000) -> Sequence[FailedMessage]:
        """What failed in the current epoch, is not parked and is tried again, oldest first."""

    def unpark(self, name: str) -> int:
        """Parked messages, and those for which a receiver asked to wait, are to be tried again (the
        manifest or the destination changed); how many there were."""

    def accept_maildirs(self, collector: str, now: datetime) -> None:
        """For a day, wherever this collector's Maildirs are is where they are meant to be."""

    def clear(self, name: str, now: datetime) -> DeclaredCollector:
        """Begin a new epoch: everything counts as new."""

    def save_retry(self, name: str, retry: Retry | None) -> None:
        """Keep the back-off across restarts; None: none is in force."""

    def save_last_good(
        self, changed: Sequence[LastGood], gone: Sequence[tuple[str, str]], now: datetime
    ) -> None:
        """Remember these manifests as the ones to run; `gone` are (kind, name) to forget. One
        commit."""

    def last_good(self) -> Sequence[LastGood]: ...

    def expire(self, now: datetime) -> None:
        """Forget retired collectors after 30 days, and sessions beyond the last 100 of each
        collector."""


PushFactory = Callable[[], Push]
SecretReader = Callable[[], Secret]
