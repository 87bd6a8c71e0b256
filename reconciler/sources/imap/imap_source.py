"""One IMAP account as a `Source`."""

from __future__ import annotations

import imaplib
from collections.abc import Callable, Iterator, Sequence

from reconciler.model.errors import ConnectionFailed
from reconciler.model.messages import Deletion, Fetched, Folder, Listed, Listing, Pace
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap.body_fetch import BodyFetch, fetch_headers
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.imap.folder_listings import FolderListings
from reconciler.sources.imap.folder_state import same_messages
from reconciler.sources.imap.imap_account import ImapAccount
from reconciler.sources.imap.imap_deletion import Deleter
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from reconciler.wire.transcript import Transcript


def open_imap(
    spec: SourceSpec,
    secret: Secret,
    limits: Limits,
    memories: AccountMemories | None = None,
    identity: ClientIdentity | None = None,
    transcript: Transcript | None = None,
) -> ImapSource:
    """Return a source for one session; it connects when it is first asked for something.

    The paths in `spec` are absolute. `memories` is what earlier sessions have learnt. What is said
    is kept in `transcript`.
    """
    return ImapSource(
        ImapAccount(
            spec,
            secret,
            limits,
            memories or AccountMemories(),
            identity or ClientIdentity(),
            transcript or Transcript(),
        )
    )


class ImapSource:
    """One IMAP account; `model.interfaces.Source`.

    It reads with EXAMINE and BODY.PEEK[], so that flags stay as they are, \\Recent included. SELECT
    is used for deleting only.
    """

    def __init__(self, account: ImapAccount) -> None:
        self._account = account
        self._folders = FolderListings(account)
        self._marked: dict[str, set[int]] = {}
        """UIDs that this session has marked as deleted, by folder."""
        self._bodies: BodyFetch | None = None

    # Properties, as callbacks that point back here would keep all of it until a garbage collection.

    @property
    def entered(self) -> Callable[[], None]:
        """Called whenever the server has accepted the login."""
        return self._account.entered

    @entered.setter
    def entered(self, call: Callable[[], None]) -> None:
        self._account.entered = call

    @property
    def another_login(self) -> Callable[[], None]:
        """Called before the source logs in once more by itself."""
        return self._account.another_login

    @another_login.setter
    def another_login(self, call: Callable[[], None]) -> None:
        self._account.another_login = call

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        """See `FolderListings.listings`."""
        self._account.writable = writable
        yield from self._folders.listings()

    @property
    def account_state(self) -> str:
        return self._folders.state

    def unchanged(self, state: str, *, writable: bool) -> bool:
        """Ask with one SELECT or EXAMINE for each folder."""
        account = self._account
        account.writable = writable
        client = account.connected()
        with account.failures.translated("looking for changes"):
            chosen = account.choose_folders(client)
            found = [account.state_of(client, name) for name in chosen.folders]
        return not chosen.notes and same_messages(state, found)

    def fetch(
        self, folder: Folder, messages: Sequence[Listed], pace: Pace = Pace.AHEAD
    ) -> Iterator[Fetched]:
        """Fetch in order; a message that has to be asked for again comes after its batch."""
        self._bodies = None
        account = self._account
        account.share.release()
        client = account.connected()
        with account.failures.translated("fetching"):
            account.enter(client, folder)
            first = self._folders.firsts.get(folder.name, "")
            self._bodies = BodyFetch(client, account.failures, first)
            for fetched in self._bodies.fetch(messages, pace):
                yield fetched
                account.check_validity(client, folder)

    @property
    def alerts(self) -> Sequence[str]:
        return self._account.alerts

    @property
    def suspects(self) -> Sequence[Listed]:
        return self._bodies.suspects if self._bodies is not None else ()

    def reconnect(self) -> None:
        self._account.reconnect()

    def headers(
        self, folder: Folder, messages: Sequence[Listed]
    ) -> Iterator[tuple[Listed, bytes | None]]:
        account = self._account
        client = account.connected()
        with account.failures.translated("fetching headers"):
            account.enter(client, folder)
            yield from fetch_headers(client, messages)
            account.check_validity(client, folder)

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        """Delete and confirm at once; nothing is pending until `finish`."""
        if not messages:
            return Deletion()
        account = self._account
        client = account.connected()
        with account.failures.translated("deleting"):
            account.enter(client, folder)
            account.check_validity(client, folder)
            if client.dialogue.read_only:
                reason = "the server opens this folder read-only"
                return Deletion(refused=tuple((listed.key, reason) for listed in messages))
            deleter = Deleter(
                client.dialogue,
                account.failures,
                self._marked.setdefault(folder.name, set()),
                searches=not account.memory.search_breaks,
                count=lambda: account.count(client, folder),
            )
            try:
                return deleter.delete(int(listed.key) for listed in messages)
            except (imaplib.IMAP4.abort, ConnectionFailed):
                if deleter.searching and not account.aborted:
                    account.memory.search_breaks = True
                raise

    def finish(self) -> Deletion:
        """Log out; every deletion was confirmed before."""
        self._account.log_out()
        return Deletion()

    def abort(self) -> None:
        self._account.abort()
