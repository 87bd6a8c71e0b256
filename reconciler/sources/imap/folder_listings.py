"""List the folders of an account, each in the way that works on its server.

A folder that the server does not open or list is passed over with a note. One that ends the
connection is passed over, too, and the others are listed over another connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from reconciler.model.errors import (
    ConnectionFailed,
    Flooded,
    FolderFailed,
    ProtocolViolation,
    SourceError,
)
from reconciler.model.messages import Folder, Listing
from reconciler.sources.imap.folder_state import FolderState, selected_state, serialized
from reconciler.sources.imap.imap_account import ImapAccount
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_listing import (
    UNSIZED,
    FolderLister,
    ListedFolder,
    SizesByUid,
    list_messages,
    selected_next,
    selected_validity,
)

_RELISTINGS = 20
"""Further connections that listing may take, for all folders together."""
_BROKEN = 5
"""Folders that may end the connection when opened or listed, where others are listed."""
_ALL = 2
"""The same where no folder is listed: then it is the server that fails."""
_NOTES = 20
"""Notes on folders that are kept with a session."""


class FolderListings:
    """Lists the declared folders of one account."""

    def __init__(self, account: ImapAccount) -> None:
        self._account = account
        self._relistings = 0
        self.state = ""
        """The states of all folders, serialized; "" where one is not known."""
        self.firsts: dict[str, str] = {}
        """The key of the first message of each folder."""
        self._states: list[FolderState | None] = []
        self._notes: list[str] = []
        self._closed: list[tuple[str, str]] = []
        """Folders that the server does not open: a sentence, and the server's words."""

    def listings(self) -> Iterator[Listing]:
        """List every declared folder that exists.

        The notes of the first listing say which folders do not exist or failed. Raises SourceError
        where none can be listed.
        """
        account = self._account
        client = account.connected()
        with account.failures.translated("listing"):
            chosen = account.choose_folders(client)
        self._states, self._notes, self._closed = [], list(chosen.notes), []
        listings: list[Listing] = []
        failed: list[SourceError] = []
        broken: set[str] = set()
        for name in chosen.folders:
            if len(broken) > _BROKEN:
                self._leave(
                    f'the folder "{name}" is left to another session: others end the connection'
                )
                continue
            try:
                with account.failures.translated(f'listing "{name}"'):
                    listings.append(self._list(account.connected(), name))
            except SourceError as error:
                failed.append(error)
                reason = str(error).removeprefix(f"{account.endpoint}: ")
                if not isinstance(error, FolderFailed):
                    broken.add(name)
                    account.memory.broken_folders = frozenset(broken)
                    left = len(chosen.folders) - len(self._states) - 1
                    self._reconnect_after(failed, left=left, listed=bool(listings))
                    reason = f'the folder "{name}" is passed over: {reason}'
                self._leave(reason)
        self.state = serialized(self._states)
        account.memory.broken_folders = frozenset(broken)
        if not listings:
            raise self._nothing(failed, chosen.notes)
        first, *others = listings
        yield replace(first, notes=_shortened(self._notes))
        yield from others

    def _leave(self, note: str) -> None:
        """Pass over a folder, whose state is not known then."""
        self._states.append(None)
        self._notes.append(note)

    def _reconnect_after(self, failed: Sequence[SourceError], *, left: int, listed: bool) -> None:
        """Connect again for the other folders after one has ended the connection.

        Raises its error where the server itself seems to fail.
        """
        error = failed[-1]
        broken = isinstance(error, ConnectionFailed | ProtocolViolation)
        many = not listed and sum(not isinstance(other, FolderFailed) for other in failed) > _ALL
        if not broken or many or not (left or listed):
            raise error
        self._account.log_in_again()

    def _nothing(self, failed: Sequence[SourceError], notes: Sequence[str]) -> SourceError:
        """Return the error that says why there is no folder to collect from."""
        if self._closed or not failed:
            return self._account.failures.missing(self._closed, notes)
        error = failed[0]
        return error.alone or error if isinstance(error, FolderFailed) else error

    # One folder

    def _list(self, client: ImapClient, name: str) -> Listing:
        """List one folder.

        Raises FolderFailed for what concerns this folder alone: the others are still collected
        (hazard I16).
        """
        account = self._account
        completed = account.open(client, name)
        if not completed.ok:
            error = account.unopened(name, completed)
            self._closed.append((str(error).removeprefix(f"{account.endpoint}: "), completed.text))
            raise error
        state = selected_state(client.dialogue, name)
        folder = Folder(account.identity, name, selected_validity(client.dialogue, name))
        account.selected = folder
        next_key = selected_next(client.dialogue)
        listed = self._listed(client, folder)
        client = account.connected()
        self._note_shortfall(name, listed)
        if (state and state[3] != len(listed.messages)) or listed.broken_off:
            state = None  # more came meanwhile, or the server cannot count
        account.check_validity(client, folder)
        self._states.append(state)
        self.firsts[name] = listed.messages[0].key if listed.messages else ""
        return Listing(
            folder,
            listed.messages,
            read_only=account.writable and client.dialogue.read_only,
            next_key=next_key,
            partial=bool(listed.broken_off) or listed.short,
        )

    def _note_shortfall(self, name: str, listed: ListedFolder) -> None:
        """Add a note where messages are missing. Raises FolderFailed where all of them are."""
        failures = self._account.failures
        if listed.broken_off and not listed.messages:
            raise self._account.failed(
                f'the server does not list the folder "{name}": '
                f"{failures.shown(listed.broken_off)}",
                failures.refused("listing messages", listed.broken_off),
            )
        if listed.broken_off:
            self._notes.append(
                f'the server broke off the listing of "{name}" after {len(listed.messages)} '
                f"messages, which are collected: {failures.shown(listed.broken_off)}"
            )
        elif listed.short:
            self._notes.append(
                f'the server says that there are {listed.announced} messages in "{name}", and '
                f"lists {len(listed.messages) or 'none'}"
            )

    def _listed(self, client: ImapClient, folder: Folder) -> ListedFolder:
        """List the folder with one command, or as `FolderLister` does where that fails."""
        sizes = SizesByUid(self._account.share.take)
        if self._unsized(folder):
            return self._in_another_way(client, folder, sizes, None, None)
        found, error = self._list_at_once(client, sizes)
        if found is not None and found.short and not found.broken_off:
            # some may have been removed meanwhile
            found = replace(found, announced=self._account.count(client, folder))
        if found is not None and not self._another_way(folder, found):
            return found
        return self._in_another_way(client, folder, sizes, found, error)

    def _list_at_once(
        self, client: ImapClient, sizes: SizesByUid
    ) -> tuple[ListedFolder | None, SourceError | None]:
        """List with one command; return the folder, or the error that ended the connection."""
        try:
            with self._account.failures.translated("listing"):
                return list_messages(client.dialogue, sizes), None
        except Flooded:
            raise
        except (ConnectionFailed, ProtocolViolation) as failure:
            return None, failure

    def _another_way(self, folder: Folder, found: ListedFolder) -> bool:
        """Return whether `FolderLister` may find more than one command has found."""
        if found.broken_off:
            return False
        if not found.short:
            return found.unread
        known = self._account.memory.short_folders.get((folder.name, folder.validity))
        return known != (found.announced, len(found.messages))

    def _in_another_way(
        self,
        client: ImapClient,
        folder: Folder,
        sizes: SizesByUid,
        found: ListedFolder | None,
        error: SourceError | None,
    ) -> ListedFolder:
        """List by `FolderLister`, after one command `found` too little or ended with `error`."""
        memory = self._account.memory
        lister = FolderLister(
            sizes,
            self._unsized(folder),
            found.announced if found is not None else 0,
            searches=not memory.search_breaks,
        )
        while True:
            if error is not None:
                client = self._reopened(folder, error)
            try:
                with self._account.failures.translated("listing"):
                    listed = lister.continue_over(client.dialogue)
            except Flooded:
                raise
            except (ConnectionFailed, ProtocolViolation) as failure:
                memory.search_breaks |= lister.searching and not self._account.aborted
                error = failure
                continue
            break
        if (
            found is not None
            and found.short
            and (listed is None or len(listed.messages) <= len(found.messages))
        ):
            if len(memory.short_folders) < UNSIZED:
                memory.short_folders[folder.name, folder.validity] = (
                    found.announced,
                    len(found.messages),
                )
            return found
        if listed is None and error is None and len(sizes):
            return ListedFolder(sizes.messages(), "some of it cannot be understood")
        if listed is None:
            raise error or self._account.failed(
                f'the server does not list the folder "{folder.name}"'
            )
        self._remember_unsized(folder, lister.unsized)
        return listed

    def _reopened(self, folder: Folder, error: SourceError) -> ImapClient:
        """Open the folder over another connection. Raises `error` where that is impossible."""
        if self._relistings >= _RELISTINGS:
            raise error
        self._relistings += 1
        try:
            self._account.log_in_again()
            client = self._account.connected()
            with self._account.failures.translated("listing"):
                self._account.enter(client, folder)
        except FolderFailed:
            raise
        except (ConnectionFailed, ProtocolViolation):
            raise error from None
        return client

    def _unsized(self, folder: Folder) -> frozenset[int]:
        """Return the UIDs of messages whose size has ended the connection before."""
        return self._account.memory.without_size.get((folder.name, folder.validity), frozenset())

    def _remember_unsized(self, folder: Folder, unsized: set[int]) -> None:
        if not unsized:
            return
        self._notes.append(
            f'{len(unsized)} messages of "{folder.name}" have no size, the server fails when it is '
            "asked for it: they are fetched without"
        )
        memory = self._account.memory
        known = {key: uids for key, uids in memory.without_size.items() if key[0] != folder.name}
        if sum(map(len, known.values())) + len(unsized) <= UNSIZED:
            memory.without_size = known | {(folder.name, folder.validity): frozenset(unsized)}


def _shortened(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes: a server may refuse thousands of folders."""
    more = len(notes) - _NOTES
    return (*notes[:_NOTES], *([f"and {more} more of the kind"] if more > 0 else []))
