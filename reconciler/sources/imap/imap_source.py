"""One IMAP account as a `Source`."""

from __future__ import annotations

import imaplib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from reconciler.model.errors import (
    ConnectionFailed,
    Flooded,
    FolderFailed,
    ProtocolViolation,
    SourceError,
)
from reconciler.model.messages import Account, Deletion, Fetched, Folder, Listed, Listing, Pace
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap.body_fetch import BodyFetch, fetch_headers
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.imap.deletion import Deleter
from reconciler.sources.imap.fetch_responses import Completed
from reconciler.sources.imap.folder_choice import INBOX, ChosenFolders, ServerFolder, choose_folders
from reconciler.sources.imap.folder_state import (
    FolderState,
    same_messages,
    selected_state,
    serialized,
)
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_listing import (
    UNSIZED,
    ListedFolder,
    Lister,
    SizesByUid,
    list_messages,
    selected_count,
    selected_next,
    selected_validity,
)
from reconciler.sources.imap.imap_login import log_in
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.listing_budget import LISTINGS, ListingShare
from reconciler.wire.login_attempts import LoginBroken
from reconciler.wire.sasl import Credentials

_RELISTINGS = 20
"""Further connections that listing may take, for all folders together."""
_BROKEN = 5
"""Folders that may end the connection when opened or listed, where others are listed."""
_ALL = 2
"""The same where no folder is listed: then it is the server that fails."""
_NOTES = 20
"""Notes on folders that are kept with a session."""


def open_imap(
    spec: SourceSpec,
    secret: Secret,
    limits: Limits,
    memories: AccountMemories | None = None,
    identity: ClientIdentity | None = None,
) -> ImapSource:
    """Return a source for one session; it connects when it is first asked for something.

    The paths in `spec` are absolute. `memories` is what earlier sessions have learnt.
    """
    return ImapSource(
        spec, secret, limits, memories or AccountMemories(), identity or ClientIdentity()
    )


class ImapSource:
    """One IMAP account; `model.interfaces.Source`.

    It reads with EXAMINE and BODY.PEEK[], so that flags stay as they are, \\Recent included. SELECT
    is used for deleting only.
    """

    def __init__(
        self,
        spec: SourceSpec,
        secret: Secret,
        limits: Limits,
        memories: AccountMemories,
        identity: ClientIdentity,
    ) -> None:
        self.entered: Callable[[], None] = lambda: None
        """Called whenever the server has accepted the login."""
        self.another_login: Callable[[], None] = lambda: None
        """Called before the source logs in once more by itself."""
        self._endpoint = Endpoint.of(spec)
        self._account = Account("imap", spec.host, spec.effective_port, spec.username)
        self._declared = spec.effective_folders
        self._credentials = Credentials(spec.username, secret, token=spec.oauth2 is not None)
        self._memory = memories.of(f"imap {spec.username} {self._endpoint}")
        self._identity = identity
        self._failures = ImapRefusals(self._endpoint, self._credentials.forms())
        self._limits = limits
        self._deadline = time.monotonic() + limits.session
        self._connection = Connection(self._endpoint, limits, self._deadline)
        self._share = ListingShare(LISTINGS, str(self._endpoint), self._deadline)
        self._heard: list[str] = []
        self._lock = threading.Lock()
        self._aborted = False
        self._client: ImapClient | None = None
        self._writable = False
        self._folders: dict[str, ServerFolder] = {}
        self._selected: Folder | None = None
        self._marked: dict[str, set[int]] = {}
        self._bodies: BodyFetch | None = None
        self._firsts: dict[str, str] = {}
        """The key of the first message of each folder."""
        self._account_state = ""
        self._relistings = 0
        self._opened: str | None = None
        """The folder that `unchanged` has just opened, with nothing done in it yet."""

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        """List every declared folder that exists.

        The notes of the first listing say which folders do not exist or failed. Raises SourceError
        where none can be listed.
        """
        self._writable = writable
        client = self._connected()
        listings: list[Listing] = []
        states: list[FolderState | None] = []
        with self._failures.translated("listing"):
            chosen = self._choose(client)
        notes = list(chosen.notes)
        failed: list[SourceError] = []
        closed: list[tuple[str, str]] = []
        broken: set[str] = set()
        for name in chosen.folders:
            if len(broken) > _BROKEN:
                states.append(None)
                notes.append(
                    f'the folder "{name}" is left to another session: others end the connection'
                )
                continue
            try:
                with self._failures.translated(f'listing "{name}"'):
                    listings.append(self._list(self._connected(), name, notes, closed, states))
            except SourceError as error:
                failed.append(error)
                told = str(error).removeprefix(f"{self._endpoint}: ")
                if not isinstance(error, FolderFailed):
                    broken.add(name)
                    self._memory.broken_folders = frozenset(broken)
                    self._survive(
                        failed, left=len(chosen.folders) - len(states) - 1, listed=bool(listings)
                    )
                    told = f'the folder "{name}" is passed over: {told}'
                states.append(None)
                notes.append(told)
        self._account_state = serialized(states)
        self._memory.broken_folders = frozenset(broken)
        if not listings:
            raise self._nothing(failed, closed, chosen.notes)
        first, *others = listings
        yield replace(first, notes=_told(notes))
        yield from others

    def _survive(self, failed: Sequence[SourceError], *, left: int, listed: bool) -> None:
        """Connect again for the other folders after one has ended the connection.

        Raises its error where the server itself seems to fail.
        """
        error = failed[-1]
        broken = isinstance(error, ConnectionFailed | ProtocolViolation)
        many = not listed and sum(not isinstance(other, FolderFailed) for other in failed) > _ALL
        if not broken or many or not (left or listed):
            raise error
        self._again()

    def _again(self) -> None:
        self.another_login()
        self.reconnect()

    @property
    def account_state(self) -> str:
        return self._account_state

    def unchanged(self, state: str, *, writable: bool) -> bool:
        """Ask with one SELECT or EXAMINE for each folder."""
        self._writable = writable
        client = self._connected()
        with self._failures.translated("looking for changes"):
            chosen = self._choose(client)
            found = [self._state_of(client, name) for name in chosen.folders]
        return not chosen.notes and same_messages(state, found)

    def fetch(
        self, folder: Folder, messages: Sequence[Listed], pace: Pace = Pace.AHEAD
    ) -> Iterator[Fetched]:
        """Fetch in order; a message that has to be asked for again comes after its batch."""
        self._bodies = None
        self._share.release()
        client = self._connected()
        with self._failures.translated("fetching"):
            self._enter(client, folder)
            self._bodies = BodyFetch(client, self._failures, self._firsts.get(folder.name, ""))
            for fetched in self._bodies.fetch(messages, pace):
                yield fetched
                self._check_validity(client, folder)

    @property
    def alerts(self) -> Sequence[str]:
        return [
            self._failures.shown(alert)
            for alert in dict.fromkeys([*self._heard, *self._connection.alerts])
        ]

    @property
    def suspects(self) -> Sequence[Listed]:
        return self._bodies.suspects if self._bodies is not None else ()

    def reconnect(self) -> None:
        with self._lock:
            self._connection.close()
            if self._aborted:
                raise ConnectionFailed(f"{self._endpoint}: the session was aborted")
            self._heard += self._connection.alerts
            self._connection = Connection(self._endpoint, self._limits, self._deadline)
        self._client = self._selected = self._opened = None
        self._connected()

    def headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterator[tuple[Listed, bytes | None]]:
        client = self._connected()
        with self._failures.translated("fetching headers"):
            self._enter(client, folder)
            yield from fetch_headers(client, messages)
            self._check_validity(client, folder)

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        """Delete and confirm at once; nothing is pending until `finish`."""
        if not messages:
            return Deletion()
        client = self._connected()
        with self._failures.translated("deleting"):
            self._enter(client, folder)
            self._check_validity(client, folder)
            if client.dialogue.read_only:
                reason = "the server opens this folder read-only"
                return Deletion(refused=tuple((listed.key, reason) for listed in messages))
            deleter = Deleter(
                client.dialogue,
                self._failures,
                self._marked.setdefault(folder.name, set()),
                searches=not self._memory.search_breaks,
                count=lambda: self._count(client, folder),
            )
            try:
                return deleter.delete(int(listed.key) for listed in messages)
            except (imaplib.IMAP4.abort, ConnectionFailed):
                if deleter.searching and not self._aborted:
                    self._memory.search_breaks = True
                raise

    def _count(self, client: ImapClient, folder: Folder) -> int:
        """Open the folder anew and return the number of its messages."""
        self._selected = None
        self._enter(client, folder)
        return selected_count(client.dialogue) or 0

    def finish(self) -> Deletion:
        """Send LOGOUT. Its failure does not matter, as everything is settled by then."""
        if self._client is not None:
            with suppress(imaplib.IMAP4.error, SourceError):  # the server may hang up first
                self._client.dialogue.run("LOGOUT")
        self._connection.abort()
        self._share.release()
        return Deletion()

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            connection = self._connection
        self._share.give_up()
        self._share.release()
        connection.abort()

    def _connected(self) -> ImapClient:
        if self._client is None:
            try:
                self._client = log_in(
                    self._connection,
                    self._failures,
                    self._credentials,
                    self._memory,
                    self._identity,
                )
            except LoginBroken as error:
                if self._memory.reconnected_after_break or not self._connection.ended:
                    raise ConnectionFailed(str(error)) from None
                self._memory.reconnected_after_break = True
                self._again()
                return self._connected()
            self.entered()
        return self._client

    def _choose(self, client: ImapClient) -> ChosenFolders:
        """Choose the folders; LIST only where needed, as accounts may show thousands of them."""
        if all(name.upper() == "INBOX" for name in self._declared):
            chosen = ChosenFolders({"INBOX": INBOX}, ())
        else:
            found = choose_folders(client, self._declared, self._failures)
            order = sorted(found.folders, key=self._memory.broken_folders.__contains__)
            chosen = ChosenFolders({name: found.folders[name] for name in order}, found.notes)
        self._folders = chosen.folders
        return chosen

    def _state_of(self, client: ImapClient, name: str) -> FolderState | None:
        completed = client.dialogue.select_folder(self._folders[name].raw, writable=self._writable)
        self._opened = name if completed.ok else None
        return selected_state(client.dialogue, name) if completed.ok else None

    def _open(self, client: ImapClient, name: str) -> Completed:
        """Open a folder, unless `unchanged` has just done so."""
        if self._opened == name:
            return Completed("OK", "")
        self._selected = None  # a refusal leaves none open (RFC 3501, 6.3.1)
        return client.dialogue.select_folder(self._folders[name].raw, writable=self._writable)

    def _nothing(
        self, failed: Sequence[SourceError], closed: Sequence[tuple[str, str]], notes: Sequence[str]
    ) -> SourceError:
        """Return the error that says why there is no folder to collect from."""
        if closed or not failed:
            return self._failures.missing(closed, notes)
        error = failed[0]
        return error.alone or error if isinstance(error, FolderFailed) else error

    def _list(
        self,
        client: ImapClient,
        name: str,
        notes: list[str],
        closed: list[tuple[str, str]],
        states: list[FolderState | None],
    ) -> Listing:
        """List one folder.

        Raises FolderFailed for what concerns this folder alone: the others are still collected
        (hazard I16).
        """
        completed = self._open(client, name)
        self._opened = None
        if not completed.ok:
            error = self._unopened(name, completed)
            closed.append((str(error).removeprefix(f"{self._endpoint}: "), completed.text))
            raise error
        found = selected_state(client.dialogue, name)
        folder = Folder(self._account, name, selected_validity(client.dialogue, name))
        self._selected = folder
        next_key = selected_next(client.dialogue)
        listed = self._listed(client, folder, notes)
        client = self._connected()
        if listed.broken_off and not listed.messages:
            raise self._failed(
                f'the server does not list the folder "{name}": '
                f"{self._failures.shown(listed.broken_off)}",
                self._failures.refused("listing messages", listed.broken_off),
            )
        if listed.broken_off:
            notes.append(
                f'the server broke off the listing of "{name}" after {len(listed.messages)} '
                f"messages, which are collected: {self._failures.shown(listed.broken_off)}"
            )
        if listed.short and not listed.broken_off:
            notes.append(
                f'the server says that there are {listed.announced} messages in "{name}", and '
                f"lists {len(listed.messages) or 'none'}"
            )
        if (found and found[3] != len(listed.messages)) or listed.broken_off:
            found = None  # more came meanwhile, or the server cannot count
        self._check_validity(client, folder)
        states.append(found)
        self._firsts[name] = listed.messages[0].key if listed.messages else ""
        return Listing(
            folder,
            listed.messages,
            read_only=self._writable and client.dialogue.read_only,
            next_key=next_key,
            partial=bool(listed.broken_off) or listed.short,
        )

    def _listed(self, client: ImapClient, folder: Folder, notes: list[str]) -> ListedFolder:
        """List the folder with one command, or as `Lister` does where that fails."""
        unsized = self._memory.without_size.get((folder.name, folder.validity), frozenset())
        sizes = SizesByUid(self._share.take)
        if unsized:
            return self._in_another_way(client, folder, notes, sizes, None, None)
        found, error = self._plainly(client, sizes)
        if found is not None and found.short and not found.broken_off:
            found = replace(
                found, announced=self._count(client, folder)
            )  # some may have been removed meanwhile
        if found is not None and not self._another_way(folder, found):
            return found
        return self._in_another_way(client, folder, notes, sizes, found, error)

    def _in_another_way(
        self,
        client: ImapClient,
        folder: Folder,
        notes: list[str],
        sizes: SizesByUid,
        found: ListedFolder | None,
        error: SourceError | None,
    ) -> ListedFolder:
        """List by `Lister`, after one command `found` too little or ended with `error`."""
        lister = Lister(
            sizes,
            self._memory.without_size.get((folder.name, folder.validity), frozenset()),
            found.announced if found is not None else 0,
            searches=not self._memory.search_breaks,
        )
        while True:
            if error is not None:
                client = self._reopened(folder, error)
            try:
                with self._failures.translated("listing"):
                    listed = lister.go_on(client.dialogue)
            except Flooded:
                raise
            except (ConnectionFailed, ProtocolViolation) as failure:
                self._memory.search_breaks |= lister.searching and not self._aborted
                error = failure
                continue
            break
        if (
            found is not None
            and found.short
            and (listed is None or len(listed.messages) <= len(found.messages))
        ):
            if len(self._memory.short_folders) < UNSIZED:
                self._memory.short_folders[folder.name, folder.validity] = (
                    found.announced,
                    len(found.messages),
                )
            return found
        if listed is None and error is None and len(sizes):
            return ListedFolder(sizes.messages(), "some of it cannot be understood")
        if listed is None:
            raise error or self._failed(f'the server does not list the folder "{folder.name}"')
        self._remember_unsized(folder, lister.unsized, notes)
        return listed

    def _another_way(self, folder: Folder, found: ListedFolder) -> bool:
        """Return whether `Lister` may find more than one command has found."""
        if found.broken_off:
            return False
        if not found.short:
            return found.unread
        known = self._memory.short_folders.get((folder.name, folder.validity))
        return known != (found.announced, len(found.messages))

    def _plainly(
        self, client: ImapClient, sizes: SizesByUid
    ) -> tuple[ListedFolder | None, SourceError | None]:
        """List with one command; return the folder, or the error that ended the connection."""
        try:
            with self._failures.translated("listing"):
                return list_messages(client.dialogue, sizes), None
        except Flooded:
            raise
        except (ConnectionFailed, ProtocolViolation) as failure:
            return None, failure

    def _reopened(self, folder: Folder, error: SourceError) -> ImapClient:
        """Open the folder over another connection. Raises `error` where that is impossible."""
        if self._relistings >= _RELISTINGS:
            raise error
        self._relistings += 1
        try:
            self._again()
            client = self._connected()
            with self._failures.translated("listing"):
                self._enter(client, folder)
        except FolderFailed:
            raise
        except (ConnectionFailed, ProtocolViolation):
            raise error from None
        return client

    def _remember_unsized(self, folder: Folder, unsized: set[int], notes: list[str]) -> None:
        if unsized:
            notes.append(
                f'{len(unsized)} messages of "{folder.name}" have no size, the server fails when '
                "it is asked for it: they are fetched without"
            )
            known = {
                key: uids
                for key, uids in self._memory.without_size.items()
                if key[0] != folder.name
            }
            if sum(map(len, known.values())) + len(unsized) <= UNSIZED:
                self._memory.without_size = known | {
                    (folder.name, folder.validity): frozenset(unsized)
                }

    def _unopened(self, name: str, completed: Completed) -> FolderFailed:
        return self._failed(
            f'the server does not open the folder "{name}": {self._failures.shown(completed.text)}'
        )

    def _failed(self, why: str, alone: SourceError | None = None) -> FolderFailed:
        return FolderFailed(f"{self._endpoint}: {why}", alone)

    def _enter(self, client: ImapClient, folder: Folder) -> None:
        if self._selected == folder:
            return
        completed = client.dialogue.select_folder(
            self._folders[folder.name].raw, writable=self._writable
        )
        if not completed.ok:
            raise self._unopened(folder.name, completed)
        found = selected_validity(client.dialogue, folder.name)
        if found != folder.validity:
            raise self._renumbered(folder)
        self._selected = folder

    def _check_validity(self, client: ImapClient, folder: Folder) -> None:
        """Raise FolderFailed where UIDVALIDITY has changed: UIDs name other messages then
        (hazard I10)."""
        told = client.dialogue.told_validity()
        if told is not None and told != folder.validity:
            raise self._renumbered(folder)

    def _renumbered(self, folder: Folder) -> FolderFailed:
        return self._failed(
            f'the folder "{folder.name}" was numbered anew during the session; nothing more is '
            "fetched or deleted in it"
        )


def _told(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes: a server may refuse thousands of folders."""
    more = len(notes) - _NOTES
    return (*notes[:_NOTES], *([f"and {more} more of the kind"] if more > 0 else []))
