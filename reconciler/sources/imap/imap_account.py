"""The connection to one IMAP account: logged in, with the folder that is selected."""

from __future__ import annotations

import imaplib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from reconciler.model.errors import ConnectionFailed, FolderFailed, SourceError
from reconciler.model.messages import Account, Folder
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.imap.fetch_responses import TaggedCompletion
from reconciler.sources.imap.folder_choice import INBOX, ChosenFolders, ServerFolder, choose_folders
from reconciler.sources.imap.folder_state import FolderState, selected_state
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_listing import selected_count, selected_validity
from reconciler.sources.imap.imap_login import log_in
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.listing_budget import LISTINGS, ListingShare
from reconciler.wire.login_attempts import LoginBroken
from reconciler.wire.sasl import Credentials
from reconciler.wire.transcript import Transcript


class ImapAccount:
    """An account during one session, over one connection after another."""

    def __init__(
        self,
        spec: SourceSpec,
        secret: Secret,
        limits: Limits,
        memories: AccountMemories,
        identity: ClientIdentity,
        transcript: Transcript,
    ) -> None:
        self.entered: Callable[[], None] = lambda: None
        """Called whenever the server has accepted the login."""
        self.another_login: Callable[[], None] = lambda: None
        """Called before a further login of this session."""
        self.endpoint = Endpoint.of(spec)
        self.identity = Account("imap", spec.host, spec.effective_port, spec.username)
        credentials = Credentials(spec.username, secret, token=spec.oauth2 is not None)
        self.memory = memories.of("imap", spec.username, self.endpoint)
        self.failures = ImapRefusals(self.endpoint, credentials.forms())
        self.writable = False
        """Whether folders are opened for deleting (SELECT instead of EXAMINE)."""
        self.selected: Folder | None = None
        self.aborted = False
        self._declared = spec.effective_folders
        self._credentials = credentials
        self._client_identity = identity
        self._limits = limits
        self._deadline = time.monotonic() + limits.session
        transcript.hide(*credentials.forms())
        self._transcript = transcript
        self._connection = self._new_connection()
        self.share = ListingShare(LISTINGS, str(self.endpoint), self._deadline)
        self._lock = threading.Lock()
        self._heard: list[str] = []
        """The alerts of earlier connections."""
        self._client: ImapClient | None = None
        self._folders: dict[str, ServerFolder] = {}
        self._opened: str | None = None
        """The folder that `state_of` has just opened, with nothing done in it yet."""

    # Connecting

    def connected(self) -> ImapClient:
        """Return the client, which connects and logs in at first."""
        if self._client is None:
            try:
                self._client = log_in(
                    self._connection,
                    self.failures,
                    self._credentials,
                    self.memory,
                    self._client_identity,
                )
            except LoginBroken as error:
                if self.memory.reconnected_after_break or not self._connection.ended:
                    raise ConnectionFailed(str(error)) from None
                self.memory.reconnected_after_break = True
                self.log_in_again()
                return self.connected()
            self.entered()
        return self._client

    def log_in_again(self) -> None:
        """Connect again by decision of the source, not of the session."""
        self.another_login()
        self.reconnect()

    def reconnect(self) -> None:
        with self._lock:
            self._connection.close()
            if self.aborted:
                raise ConnectionFailed(f"{self.endpoint}: the session was aborted")
            self._heard += self._connection.alerts
            self._connection = self._new_connection()
        self._client = self.selected = self._opened = None
        self.connected()

    def _new_connection(self) -> Connection:
        return Connection(
            self.endpoint, self._limits, self._deadline, self._transcript.connection("imap")
        )

    def log_out(self) -> None:
        """Send LOGOUT. Its failure does not matter, as everything is settled by then."""
        if self._client is not None:
            with suppress(imaplib.IMAP4.error, SourceError):  # the server may hang up first
                self._client.dialogue.run("LOGOUT")
        self._connection.abort()
        self.share.release()

    def abort(self) -> None:
        """End the session at once, from any thread."""
        with self._lock:
            self.aborted = True
            connection = self._connection
        self.share.give_up()
        self.share.release()
        connection.abort()

    @property
    def alerts(self) -> Sequence[str]:
        return [
            self.failures.shown(alert)
            for alert in dict.fromkeys([*self._heard, *self._connection.alerts])
        ]

    # Folders

    def choose_folders(self, client: ImapClient) -> ChosenFolders:
        """Choose the folders; LIST only where needed, as accounts may show thousands of them.

        Folders that ended the connection before come last.
        """
        if all(name.upper() == "INBOX" for name in self._declared):
            chosen = ChosenFolders({"INBOX": INBOX}, ())
        else:
            found = choose_folders(client, self._declared, self.failures)
            order = sorted(found.folders, key=self.memory.broken_folders.__contains__)
            chosen = ChosenFolders({name: found.folders[name] for name in order}, found.notes)
        self._folders = chosen.folders
        return chosen

    def state_of(self, client: ImapClient, name: str) -> FolderState | None:
        """Open a folder and return its state; None where that is impossible."""
        completed = self._select(client, name)
        self._opened = name if completed.ok else None
        return selected_state(client.dialogue, name) if completed.ok else None

    def open(self, client: ImapClient, name: str) -> TaggedCompletion:
        """Open a folder, unless `state_of` has just done so."""
        opened, self._opened = self._opened, None
        if opened == name:
            return TaggedCompletion("OK", "")
        self.selected = None  # a refusal leaves none open (RFC 3501, 6.3.1)
        return self._select(client, name)

    def enter(self, client: ImapClient, folder: Folder) -> None:
        """Open a listed folder, unless it is open. Raises FolderFailed."""
        if self.selected == folder:
            return
        completed = self._select(client, folder.name)
        if not completed.ok:
            raise self.unopened(folder.name, completed)
        if selected_validity(client.dialogue, folder.name) != folder.validity:
            raise self._renumbered(folder)
        self.selected = folder

    def count(self, client: ImapClient, folder: Folder) -> int:
        """Open the folder anew and return the number of its messages."""
        self.selected = None
        self.enter(client, folder)
        return selected_count(client.dialogue) or 0

    def check_validity(self, client: ImapClient, folder: Folder) -> None:
        """Raise FolderFailed where UIDVALIDITY has changed: UIDs name other messages then
        (hazard I10)."""
        announced = client.dialogue.announced_validity()
        if announced is not None and announced != folder.validity:
            raise self._renumbered(folder)

    def failed(self, why: str, alone: SourceError | None = None) -> FolderFailed:
        return FolderFailed(f"{self.endpoint}: {why}", alone)

    def unopened(self, name: str, completed: TaggedCompletion) -> FolderFailed:
        """Return the error of a folder that the server does not open."""
        return self.failed(
            f'the server does not open the folder "{name}": {self.failures.shown(completed.text)}'
        )

    def _renumbered(self, folder: Folder) -> FolderFailed:
        return self.failed(
            f'the folder "{folder.name}" was numbered anew during the session; nothing more is '
            "fetched or deleted in it"
        )

    def _select(self, client: ImapClient, name: str) -> TaggedCompletion:
        return client.dialogue.select_folder(self._folders[name].raw, writable=self.writable)
