"""One POP3 account as a `Source`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from reconciler.model.errors import ConnectionFailed, FolderFailed, ProtocolViolation
from reconciler.model.messages import (
    Account,
    Deletion,
    Fetched,
    Folder,
    Listed,
    Listing,
    Pace,
    Vanished,
)
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.pop3.maildrop import Maildrop, look_up
from reconciler.sources.pop3.pop3_deletion import PendingDeletes
from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue
from reconciler.sources.pop3.pop3_listing import MaildropLister
from reconciler.sources.pop3.pop3_login import log_in
from reconciler.sources.pop3.retrieval import WINDOW_COUNT, Numbered, Retrieval, fetch_headers
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.listing_budget import LISTINGS, ListingShare
from reconciler.wire.login_attempts import LoginBroken
from reconciler.wire.sasl import Credentials
from reconciler.wire.transcript import Transcript


def open_pop3(
    spec: SourceSpec,
    secret: Secret,
    limits: Limits,
    memories: AccountMemories | None = None,
    transcript: Transcript | None = None,
) -> Pop3Source:
    """Return the source for one session; it connects when it is asked for its listings.

    The paths in `spec` are absolute. `memories` is what earlier sessions have learnt. What is said
    is kept in `transcript`.
    """
    return Pop3Source(
        Endpoint.of(spec),
        Credentials(spec.username, secret, token=spec.oauth2 is not None),
        limits,
        memories,
        transcript,
    )


class Pop3Source:
    """One session with one account; `model.interfaces.Source`.

    Keys are UIDLs (see `maildrop_columns.key_of`). "UIDL #2" is the second message with the same
    one. Deletes are pending until `finish`, and lost when the session breaks before (RFC 1939,
    section 6).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        limits: Limits,
        memories: AccountMemories | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self.entered: Callable[[], None] = lambda: None
        """Called whenever the server has accepted the login."""
        self.another_login: Callable[[], None] = lambda: None
        """Called before the source logs in once more by itself."""
        self._credentials = credentials
        self._memory = (memories or AccountMemories()).of("pop3", credentials.username, endpoint)
        self._endpoint = endpoint
        self._limits = limits
        self._deadline = time.monotonic() + limits.session
        self._heard: list[str] = []
        self._lock = threading.Lock()
        self._aborted = False
        self._transcript = transcript or Transcript()
        self._transcript.hide(*credentials.forms())
        self._connection = self._new_connection()
        self._share = ListingShare(LISTINGS, str(endpoint), self._deadline)
        self._dialogue = Pop3Dialogue(self._connection, credentials.forms(), self._stop_pipelining)
        self._retrieval: Retrieval | None = None
        self._lister = MaildropLister(endpoint, self._memory, self._share.take)
        self._maildrop = Maildrop((), {}, keys_stable=True)
        self._deletes = PendingDeletes(self._dialogue)
        self._folder = Folder(
            Account("pop3", endpoint.host, endpoint.port, credentials.username), "", 0
        )

    # POP3 has one way to open
    def listings(self, *, writable: bool) -> Iterator[Listing]:  # noqa: ARG002
        self._log_in()
        self._maildrop = self._listed()
        drop = self._maildrop
        yield Listing(self._folder, drop.messages, keys_stable=drop.keys_stable, notes=drop.notes)

    @property
    def account_state(self) -> str:
        return self._lister.account_state

    # POP3 has one way to open
    def unchanged(self, state: str, *, writable: bool) -> bool:  # noqa: ARG002
        """Compare the reply to UIDL with the last one, octet by octet."""
        self._log_in()
        self._dialogue.send(b"UIDL")
        return self._dialogue.digest() == state

    def fetch(
        self,
        folder: Folder,  # noqa: ARG002  # there is one
        messages: Sequence[Listed],
        pace: Pace = Pace.AHEAD,
    ) -> Iterator[Fetched]:
        self._retrieval = None
        look_up(self._maildrop, (listed.key for listed in messages))
        present: list[Numbered] = []
        for listed in messages:
            number = self._maildrop.numbers.get(listed.key)
            if number is None:
                yield Vanished(listed)
            else:
                present.append((number, listed))
        count = WINDOW_COUNT if self._lister.pipelined and pace is Pace.AHEAD else 1
        self._retrieval = Retrieval(self._dialogue, present, count, self._deletes.note_retrieved)
        with self._learning_to_pipeline():
            yield from self._retrieval

    @property
    def suspects(self) -> Sequence[Listed]:
        return self._retrieval.suspects if self._retrieval is not None else ()

    def reconnect(self) -> None:
        """Connect and list again; pending deletes are lost (RFC 1939, section 6)."""
        before = self._maildrop
        if before.keys_stable:
            self._maildrop = before = Maildrop((), {}, keys_stable=True)
        self._reopen()
        self._maildrop = self._listed()
        if not before.keys_stable and before.messages != self._maildrop.messages:
            raise FolderFailed(
                f"{self._endpoint}: the server has no UIDL, and its messages are not those that "
                "were listed before the connection was lost: the others are collected by the next "
                "session"
            )

    @property
    def alerts(self) -> Sequence[str]:
        return list(dict.fromkeys([*self._heard, *self._connection.alerts]))

    def _reopen(self) -> None:
        self._connect_anew()
        self._log_in()

    def _new_connection(self) -> Connection:
        return Connection(
            self._endpoint, self._limits, self._deadline, self._transcript.connection("pop3")
        )

    def _connect_anew(self) -> None:
        with self._lock:
            self._connection.close()
            if self._aborted:
                raise ConnectionFailed(f"{self._endpoint}: the session was aborted")
            self._heard += self._connection.alerts
            self._connection = self._new_connection()
        self._dialogue = Pop3Dialogue(
            self._connection, self._credentials.forms(), self._stop_pipelining
        )
        self._deletes = PendingDeletes(self._dialogue)
        self._share.release()

    def headers(
        self,
        folder: Folder,  # noqa: ARG002  # there is one
        messages: Sequence[Listed],
    ) -> Iterator[tuple[Listed, bytes | None]]:
        look_up(self._maildrop, (listed.key for listed in messages))
        present = [
            (self._maildrop.numbers[listed.key], listed)
            for listed in messages
            if listed.key in self._maildrop.numbers
        ]
        if self._lister.capabilities.known and "TOP" not in self._lister.capabilities:
            present = []
        with self._learning_to_pipeline():
            yield from fetch_headers(self._dialogue, present, pipelined=self._lister.pipelined)

    # there is one
    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:  # noqa: ARG002
        look_up(self._maildrop, (listed.key for listed in messages))
        return self._deletes.mark(self._maildrop, messages, pipelined=self._lister.pipelined)

    def finish(self) -> Deletion:
        """Send QUIT, which makes the deletes; never raises.

        Where it fails the deletes count as refused, as it is not known whether they took place.
        """
        deletion = self._deletes.quit(connected=bool(self._connection.received))
        self._connection.close()
        self._share.release()
        return deletion

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            connection = self._connection
        self._share.give_up()
        self._share.release()
        connection.abort()

    @contextmanager
    def _learning_to_pipeline(self) -> Iterator[None]:
        """Stop pipelining after an error while several commands are under way.

        A server that only closed is asked by pipelining again if it also closes without it: then
        pipelining was not the cause.
        """
        pipelined = self._lister.pipelined
        try:
            yield
        except ProtocolViolation:
            if pipelined:
                self._stop_pipelining()
            raise
        except ConnectionFailed:
            if pipelined and self._dialogue.owed > 1 and not self._aborted:
                self._memory.no_pipelining_after_close = self._connection.ended
                self._stop_pipelining()
            elif self._memory.no_pipelining_after_close and self._connection.ended:
                self._memory.no_pipelining_after_close = self._memory.no_pipelining = False
            raise

    def _stop_pipelining(self) -> None:
        self._memory.no_pipelining = True

    def _log_in(self) -> None:
        if self._connection.received:
            return
        try:
            self._lister.capabilities = log_in(self._dialogue, self._credentials, self._memory)
        except LoginBroken as error:
            if self._memory.reconnected_after_break or not self._connection.ended:
                raise ConnectionFailed(str(error)) from None
            self._memory.reconnected_after_break = True
            self.another_login()
            self._connect_anew()
            self._log_in()
            return
        self.entered()

    def _listed(self) -> Maildrop:
        """List the maildrop, over further connections where the server ends this one."""
        while True:
            try:
                with self._learning_to_pipeline():
                    return self._lister.list_maildrop(self._dialogue)
            except ConnectionFailed as error:
                if not self._dialogue.owed or not self._lister.may_list_again:
                    raise
                self._lister.connection_lost()
                try:
                    self.another_login()
                    self._reopen()
                except (ConnectionFailed, ProtocolViolation):
                    raise error from None
