"""The interfaces of the adapters. Each adapter implements one of them and does not know the
others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from reconciler.model.errors import SourceError
from reconciler.model.history import (
    AccountState,
    Alert,
    CollectedCount,
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
    """A connection to an account for one session, used by one thread. Every method may raise a
    `SourceError`."""

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        """Log in if necessary, then list each folder. `writable` means that messages will be
        deleted."""

    @property
    def account_state(self) -> str:
        """Return the state of the account at the listing, to be kept for `unchanged`, or "" if it
        is unknown."""

    def unchanged(self, state: str, *, writable: bool) -> bool:
        """Log in and return whether the account still has the messages of a kept state.

        This is cheaper than a listing. Return False in case of doubt; `listings` may follow.
        """

    def fetch(
        self, folder: Folder, messages: Sequence[Listed], pace: Pace = Pace.AHEAD
    ) -> Iterator[Fetched]:
        """Yield each of `messages` once, roughly in order. `Arrival` explains how to read content.

        The source may request messages ahead, within bounds. So no other method may be called
        before the end.
        """

    @property
    def alerts(self) -> Sequence[str]:
        """Return the server's messages to people in all connections of the session, made safe to
        show and limited in number and length."""

    @property
    def suspects(self) -> Sequence[Listed]:
        """Return, after `fetch` failed, the messages that may be the cause. Other missing messages
        only have to be requested again."""

    def reconnect(self) -> None:
        """Abandon the connection and log in again, within the time limit of the session.

        Listed folders keep their keys. Raises `FolderFailed` for a folder whose keys are no longer
        certain.
        """

    def headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterator[tuple[Listed, bytes | None]]:
        """Yield each message's header block up to the empty line, in any order, with CRLF line
        ends.

        It is None if the server does not send it alone or unchanged. Messages that no longer exist
        are left out.
        """

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        """Delete messages from the server. Only called for those that the ledger records as
        collected."""

    def finish(self) -> Deletion:
        """Log out and return the result of pending deletes. POP3 commits them here (RFC 1939,
        section 6)."""

    def abort(self) -> None:
        """Close the connection at once, from any thread. A thread that waits for it gets a
        `ConnectionFailed`.

        This is also the way to close a connection after an error. It may be called repeatedly.
        """


class Push(Protocol):
    """A connection over which the server reports new mail. Only `begin` blocks."""

    def begin(self) -> None:
        """Connect, log in and ask for notifications. Raises `SourceUnsuitable` if the server lacks
        them, or another `SourceError`."""

    def abort(self) -> None:
        """Abort a `begin`, from any thread."""

    def fileno(self) -> int:
        """Return the file descriptor to watch for input."""

    def take(self) -> bool:
        """Read the input and return whether there is new mail. Raises a `SourceError` if the
        connection has become unusable."""

    def renew(self) -> None:
        """Ask again, so that the network keeps the idle connection. Raises a `SourceError`."""

    @property
    def listening(self) -> bool:
        """Return whether the server has answered the last request for notifications."""

    def lost(self, error: SourceError) -> None:
        """Note why the connection has become unusable, before it is closed."""

    def close(self) -> None:
        """Close the connection."""


class Staged(Protocol):
    """A message that is written to the destination but not delivered yet."""

    @property
    def size(self) -> int:
        """Return the size in octets as it will be stored."""


S = TypeVar("S", bound=Staged)


class MailDestination(Protocol[S]):
    """The destination of a session's mail.

    Every method may raise `DestinationUnavailable`, which concerns all recipients. A failure of one
    recipient is an outcome. If `batch_size` is more than 1, one thread stages while another one
    commits and settles the batch before. Otherwise there is only one thread.
    """

    @property
    def batch_size(self) -> int:
        """Return the number of messages that may be staged before a commit. It is 1 if a repeated
        delivery cannot be recognised."""

    def exists(self, address: str) -> bool | None:
        """Return whether a mailbox exists, or None if only a delivery can tell."""

    def stage(self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]) -> S:
        """Write a message's bytes (LF line ends) so that its commit is fast. After an error nothing
        remains."""

    def commit(self, staged: Sequence[S]) -> Iterator[tuple[S, tuple[DeliveryOutcome, ...]]]:
        """Deliver the messages. Each is durable when it is yielded. Messages and recipients keep
        their order."""

    def settle(self, staged: Sequence[S]) -> None:
        """Remove what was kept to recognise these messages after a crash. The ledger has recorded
        them."""

    def discard(self, staged: Sequence[S]) -> None:
        """Remove all traces of messages that will not be committed."""

    def deliverable(self, address: str) -> bool:
        """Return whether the destination supports this form of address (SMTPUTF8, RFC 6531)."""

    def check(self) -> str:
        """Return a sentence about the destination. Nothing is delivered."""

    def finish(self) -> None:
        """End the session. Never raises."""

    def abort(self) -> None:
        """Abort blocked operations, from any thread."""


class Entries(Mapping[str, Entry]):
    """The records of a folder by key; for a repeated key, the latest one.

    A folder may have millions of records. The methods read only the necessary ones, while use as a
    mapping reads all of them. Every method may raise `LedgerUnavailable`.
    """

    @abstractmethod
    def of(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """Return the records of these keys. A repeated call with the same keys costs nothing."""

    @abstractmethod
    def latest_uid(self) -> int:
        """Return the greatest key as a number (IMAP)."""

    @abstractmethod
    def any_on_server(self) -> bool:
        """Return whether there are records that are not marked as deleted."""

    @abstractmethod
    def more_on_server_than(self, count: int) -> bool:
        """Return whether more than `count` records have a content and are not marked as
        deleted."""


class MountMemory(Protocol):
    """The file systems that a collector's mail was delivered to. Thread-safe; changes are durable
    when a call returns. Every method may raise `LedgerUnavailable`."""

    def mounts(self) -> Mapping[str, Mount]:
        """Return the remembered mounts by mount point."""

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        """Remember a mount and forget those at the mount points `instead`."""

    def accepted(self) -> bool:
        """Return whether an administrator confirmed the present place of the Maildirs."""

    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return the recipients and file names of the last recorded deliveries, latest first."""


class Ledger(Protocol):
    """The record of what was collected, delivered and deleted. Thread-safe.

    A write is durable when the call returns, except for `record_session`, `keep_alerts` and
    `keep_account_state`, which a power cut may undo. Every method may raise `LedgerUnavailable`.
    """

    def identity(self, collector: str) -> tuple[str, int]:
        """Return what a collector's deliveries are named after: its first name and its epoch."""

    def hold(self) -> None:
        """Raise LeaseLost if another process has taken over the ledger. Then nothing may be deleted
        from a server."""

    def known(self, collector: str, folder: Folder) -> Mapping[str, Entry]:
        """Return the records of a folder in the current epoch by key, as `Entries` if there may be
        very many."""

    def record(
        self, collector: str, folder: Folder, records: Sequence[Record], now: datetime
    ) -> None:
        """Add or replace the records of messages in one commit. The attempts of failed ones are
        added up."""

    def record_deleted(
        self, collector: str, folder: Folder, keys: Iterable[str], now: datetime
    ) -> None:
        """Record that the server confirmed the deletion of these messages."""

    def current(self, collector: str, folder: Folder) -> Folder:
        """Return the folder with its latest numbering (`Folder.renumbered`), or `folder` itself."""

    def orphaned(self, collector: str, folders: Sequence[Folder]) -> bool:
        """Return whether there may be orphans: records of other folders than these, of messages
        that may still be on a server."""

    def orphans(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str], content: str = ""
    ) -> Sequence[Orphan]:
        """Return the orphans with one of these header digests, oldest record first.

        Of those with the digest `content`, only as many as can be useful are returned.
        """

    def orphans_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        """Return the number of orphans by header digest, without those that have none."""

    def listed_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        """Return the number of messages that these folders have in the state LISTED, by header
        digest."""

    def adopt(
        self, collector: str, folder: Folder, adoptions: Sequence[Adoption], now: datetime
    ) -> None:
        """Move records and their deliveries to `folder`, in one commit."""

    def record_session(self, collector: str, report: SessionReport) -> None:
        """Record a session's counters."""

    def alerts(self, collector: str) -> Sequence[Alert]:
        """Return the server's last alerts."""

    def keep_alerts(self, collector: str, alerts: Sequence[Alert]) -> None:
        """Replace the server's last alerts."""

    def account_state(self, collector: str) -> AccountState | None:
        """Return the kept state of the last listing, if it is still valid."""

    def keep_account_state(self, collector: str, epoch: int, state: AccountState) -> None:
        """Keep the state of the last listing.

        It is valid until a message is recorded, deleted or unparked, the collector is declared
        again, or a new epoch begins.
        """


class Registry(Protocol):
    """The control loop's records in the database of the ledger. Thread-safe; changes are durable
    when a call returns. Every method may raise `LedgerUnavailable`."""

    def require_whole(self) -> None:
        """Raise `LedgerUnavailable` where somebody removed, replaced or cut the database."""

    def declare_all(
        self, declaring: Sequence[Declaring], now: datetime
    ) -> Mapping[str, DeclaredCollector]:
        """Declare collectors, each once, in one commit.

        A changed digest raises the generation. A change of mode to all-delete begins a new epoch. A
        retired collector gets its history back.
        """

    def rename(
        self, names: Mapping[str, str], declared: Mapping[str, str] | None = None
    ) -> Collection[str]:
        """Continue histories under other names (old to new), in one commit; names may be
        exchanged.

        Return the old names for which this is done, now or before. A new name with a history of its
        own that does not go elsewhere is left alone. `declared`: the digests that those whose names
        go on to others were declared with; a history with another one has its new name already.
        Deliveries keep their identity (`Ledger.identity`).
        """

    def retire(self, name: str, now: datetime) -> None:
        """Record that a collector is no longer declared. Its history is kept for 30 days."""

    def histories(self, names: Iterable[str] | None = None) -> Mapping[str, History]:
        """Return the histories of these collectors, or of all that are not retired."""

    def sessions(self, name: str, limit: int = 20) -> Sequence[SessionReport]:
        """Return the last sessions, newest first."""

    def collected_between(self, since: datetime, until: datetime) -> Sequence[CollectedCount]:
        """Return what the sessions that ended then collected, as far as they are kept."""

    def parked(self, name: str, limit: int = 1000) -> Sequence[ParkedMessage]:
        """Return the parked messages of the current epoch, oldest first."""

    def failing(self, name: str, limit: int = 1000) -> Sequence[FailedMessage]:
        """Return the failed messages of the current epoch that will be retried, oldest first."""

    def kept_back(self, name: str) -> int:
        """Return the number of messages of the current epoch that were collected and must not be
        deleted on the server, because they are doubtful."""

    def unpark(self, name: str) -> int:
        """Release parked messages and those for which a receiver asked us to wait, because the
        manifest or the destination changed. Return their number."""

    def accept_maildirs(self, collector: str, now: datetime) -> None:
        """Accept the present place of a collector's Maildirs for a day."""

    def clear(self, name: str, now: datetime) -> DeclaredCollector:
        """Begin a new epoch: everything counts as new."""

    def save_retry(self, name: str, retry: Retry | None) -> None:
        """Keep a collector's back-off across restarts. None removes it."""

    def save_last_good(
        self, changed: Sequence[LastGood], gone: Sequence[tuple[str, str]], now: datetime
    ) -> None:
        """Keep changed manifests as last good, and forget those of `gone` (kind and name), in one
        commit."""

    def size(self) -> int | None:
        """Return the octets that the database takes on the disk; None if that is not known."""

    def last_good(self) -> Sequence[LastGood]:
        """Return the last good manifests."""

    def expire(self, now: datetime) -> None:
        """Forget retired collectors after 30 days, and sessions beyond the last 100 of each
        collector."""


PushFactory = Callable[[], Push]
SecretReader = Callable[[], Secret]
