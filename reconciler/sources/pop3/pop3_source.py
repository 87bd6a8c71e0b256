"""One POP3 account as a `Source`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from reconciler.model.errors import ConnectionFailed, FolderFailed, ProtocolViolation, SourceError
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
from reconciler.sources.listing_columns import Peekable
from reconciler.sources.pop3.maildrop import Maildrop, look_up, merged
from reconciler.sources.pop3.maildrop_columns import SizeColumn, UidlColumn
from reconciler.sources.pop3.pop3_deletion import PendingDeletes
from reconciler.sources.pop3.pop3_dialogue import Capabilities, Pop3Dialogue, Pop3Reply
from reconciler.sources.pop3.pop3_login import log_in
from reconciler.sources.pop3.retrieval import WINDOW_COUNT, Numbered, Retrieval, fetch_headers
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.listing_budget import LISTINGS, ListingShare
from reconciler.wire.login_attempts import LoginBroken
from reconciler.wire.sasl import Credentials

_UIDLS_AT_ONCE = 64
_RELISTINGS = 6
"""Further connections that listing may take."""
_MUTE = 1000
"""Messages without UIDL that are remembered of an account."""


def open_pop3(
    spec: SourceSpec, secret: Secret, limits: Limits, memories: AccountMemories | None = None
) -> Pop3Source:
    """Return the source for one session; it connects when it is asked for its listings.

    The paths in `spec` are absolute. `memories` is what earlier sessions have learnt.
    """
    return Pop3Source(
        Endpoint.of(spec),
        Credentials(spec.username, secret, token=spec.oauth2 is not None),
        limits,
        memories,
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
        self._connection = Connection(endpoint, limits, self._deadline)
        self._share = ListingShare(LISTINGS, str(endpoint), self._deadline)
        self._dialogue = Pop3Dialogue(self._connection, credentials.forms(), self._stop_pipelining)
        self._retrieval: Retrieval | None = None
        self._capabilities = Capabilities()
        self._maildrop = Maildrop((), {}, keys_stable=True)
        self._deletes = PendingDeletes(self._dialogue)
        self._account_state = ""
        self._step = b""
        """The command of the listing that is under way."""
        self._failed_at = b""
        """The `_step` at which the connection was lost."""
        self._relistings = 0
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
        return self._account_state

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
        count = WINDOW_COUNT if self._pipelined and pace is Pace.AHEAD else 1
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

    def _connect_anew(self) -> None:
        with self._lock:
            self._connection.close()
            if self._aborted:
                raise ConnectionFailed(f"{self._endpoint}: the session was aborted")
            self._heard += self._connection.alerts
            self._connection = Connection(self._endpoint, self._limits, self._deadline)
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
        if self._capabilities.known and "TOP" not in self._capabilities:
            present = []
        with self._learning_to_pipeline():
            yield from fetch_headers(self._dialogue, present, pipelined=self._pipelined)

    # there is one
    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:  # noqa: ARG002
        look_up(self._maildrop, (listed.key for listed in messages))
        return self._deletes.mark(self._maildrop, messages, pipelined=self._pipelined)

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

    @property
    def _pipelined(self) -> bool:
        return "PIPELINING" in self._capabilities and not self._memory.no_pipelining

    @contextmanager
    def _learning_to_pipeline(self) -> Iterator[None]:
        """Stop pipelining after an error while several commands are under way.

        A server that only closed is asked by pipelining again if it also closes without it: then
        pipelining was not the cause.
        """
        pipelined = self._pipelined
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
            self._capabilities = log_in(self._dialogue, self._credentials, self._memory)
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
        """List the maildrop; a command that ends the connection twice is left out."""
        while True:
            try:
                with self._learning_to_pipeline():
                    return self._list()
            except ConnectionFailed as error:
                if not self._dialogue.owed or self._relistings >= _RELISTINGS:
                    raise
                if self._failed_at == self._step == b"LIST":
                    self._memory.list_breaks = True
                elif self._failed_at == self._step == b"UIDL":
                    self._memory.uidl_breaks = True
                self._failed_at = self._step
                self._relistings += 1
                try:
                    self.another_login()
                    self._reopen()
                except (ConnectionFailed, ProtocolViolation):
                    raise error from None

    def _list(self) -> Maildrop:
        """Run CAPA, LIST and UIDL, at once where pipelining was offered before the login."""
        if self._memory.list_breaks or self._memory.uidl_breaks:
            return self._list_around()
        sizes, uidls = SizeColumn(self._share.take), UidlColumn()
        pipelined = self._pipelined and not self._failed_at
        if pipelined:
            self._dialogue.send(b"CAPA", b"LIST", b"UIDL")
        else:
            self._dialogue.send(b"CAPA")
        self._step = b"CAPA"
        offered = self._dialogue.capabilities()
        self._step = b"LIST"
        if not pipelined:
            self._dialogue.send(b"LIST")
        listed, _ = self._dialogue.lines(sizes.take)
        self._step = b"UIDL"
        if not pipelined:
            self._dialogue.send(b"UIDL")
        identified, digest = self._dialogue.lines(uidls.take)
        self._capabilities = offered or self._capabilities
        if not listed.ok and (self._known(listed, "LIST") or not self._is_empty()):
            raise self._refused(listed, "LIST")
        if identified.ok:
            found = merged(sizes, uidls)
            self._account_state = "" if found.notes else digest
            return found
        if self._known(identified, "UIDL"):
            raise self._refused(identified, "UIDL")
        offered_here = "UIDL" in self._capabilities
        if not len(sizes) and (offered_here or not self._capabilities.known):
            return Maildrop((), {}, keys_stable=True)  # some refuse to list nothing
        if offered_here:
            raise self._refused(identified, "UIDL")
        return merged(sizes, None)

    def _list_around(self) -> Maildrop:
        """List without LIST, whose sizes are only hints, or with UIDL for single messages.

        This is for servers that end the connection at LIST or UIDL of all messages.
        """
        sizes, uidls = SizeColumn(self._share.take), UidlColumn()
        notes: list[str] = []
        self._account_state = ""
        if self._memory.uidl_breaks:
            self._step = b"LIST"
            self._dialogue.send(b"LIST")
            listed, _ = self._dialogue.lines(sizes.take)
            if not listed.ok:
                raise self._refused(listed, "LIST")
            if left := self._identify(sizes, uidls):
                notes.append(
                    f"{left} messages are left alone: the server fails when it is asked for their "
                    "UIDL"
                )
        else:
            self._step = b"UIDL"
            self._dialogue.send(b"UIDL")
            identified, _ = self._dialogue.lines(uidls.take)
            if not identified.ok:
                raise self._refused(identified, "UIDL")
            sizes.number_only(uidls.numbers)
            notes.append(
                "the server fails when it is asked for the sizes of messages: they are fetched "
                "without"
            )
        found = merged(sizes, uidls)
        return Maildrop(found.messages, found.numbers, found.keys_stable, (*notes, *found.notes))

    def _identify(self, sizes: SizeColumn, uidls: UidlColumn) -> int:
        """Ask for the UIDL of each message.

        Returns how many were left out because asking for them ended the connection before.
        """
        numbered = Peekable(sizes.ordered())
        left, last = 0, ""
        at_once = _UIDLS_AT_ONCE if self._pipelined and not self._failed_at else 1
        while numbered.next is not None:
            lot: list[tuple[int, int]] = []
            while numbered.next is not None and len(lot) < at_once:
                number, place = numbered.next
                if not lot and (last, sizes.size(place)) in self._memory.without_uidl:
                    left, last = left + 1, f"{last} +"
                    numbered.take()
                    continue
                if lot and self._memory.without_uidl:
                    break  # the UIDL before the next one must be known first
                lot.append(numbered.take())
            if not lot:
                break
            self._dialogue.send(*[b"UIDL %d" % number for number, _ in lot])
            for number, place in lot:
                self._step = b"UIDL %d" % number
                try:
                    reply = self._dialogue.answer()
                except (ConnectionFailed, ProtocolViolation):
                    if self._failed_at == self._step and len(self._memory.without_uidl) < _MUTE:
                        self._memory.without_uidl |= {(last, sizes.size(place))}
                    raise
                if reply.ok and reply.rest.split()[:1] == [b"%d" % number]:
                    uidls.take(reply.rest + b"\n")
                    last = uidls.key(len(uidls) - 1)
        return left

    def _known(self, reply: Pop3Reply, command: str) -> bool:
        """Return whether the refusal says more than no."""
        return bool(reply.code) or self._dialogue.refusal(reply, command) is not None

    def _is_empty(self) -> bool:
        """Return whether the maildrop is empty: some servers refuse to list that."""
        reply = self._dialogue.command(b"STAT")
        return reply.ok and reply.rest.split()[:1] == [b"0"]

    def _refused(self, reply: Pop3Reply, command: str) -> SourceError:
        return self._dialogue.refusal(reply, f"{command} refused") or ProtocolViolation(
            f"{self._connection.endpoint}: {command} refused: {self._dialogue.quote(reply)}"
        )
