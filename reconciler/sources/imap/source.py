"""One IMAP account as a `Source`."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from reconciler.manifests.spec import SourceSpec
from reconciler.model.errors import ProtocolViolation, SourceError
from reconciler.model.messages import Account, Deletion, Fetched, Folder, Listed, Listing
from reconciler.model.secret import Secret
from reconciler.sources.imap.bodies import Bodies
from reconciler.sources.imap.deletion import Deleter
from reconciler.sources.imap.dialogue import Client
from reconciler.sources.imap.failures import Failures, throttles
from reconciler.sources.imap.folders import INBOX, Chosen, ServerFolder, choose_folders
from reconciler.sources.imap.headers import fetch_headers
from reconciler.sources.imap.listing import list_messages, selected_next, selected_validity
from reconciler.sources.imap.login import log_in
from reconciler.sources.imap.responses import Completed
from reconciler.sources.imap.standing import Stand, same, stand, text
from reconciler.wire.accounts import Accounts
from reconciler.wire.connection import Connection
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.identity import Identity
from reconciler.wire.limits import Limits
from reconciler.wire.sasl import Credentials


def open_imap(spec: SourceSpec, secret: Secret, limits: Limits, accounts: Accounts | None = None,
              identity: Identity | None = None) -> ImapSource:
    """A source for one session. It connects when it is first asked for something; `spec`'s paths are absolute.
    `accounts`: what earlier sessions have learnt."""
    return ImapSource(spec, secret, limits, accounts or Accounts(), identity or Identity())


class ImapSource:
    """Reads with EXAMINE and BODY.PEEK[]: flags stay as they are, \\Recent too. SELECT is for deleting only."""

    def __init__(self, spec: SourceSpec, secret: Secret, limits: Limits, accounts: Accounts,
                 identity: Identity) -> None:
        self._endpoint = Endpoint.of(spec)
        self._account = Account("imap", spec.host, spec.effective_port, spec.username)
        self._declared = spec.effective_folders
        self._credentials = Credentials(spec.username, secret, token=spec.oauth2 is not None)
        self._habits = accounts.of(f"imap {spec.username} {self._endpoint}")
        self._identity = identity
        self._failures = Failures(self._endpoint, self._credentials.forms())
        self._connection = Connection(self._endpoint, limits)
        self._client: Client | None = None
        self._writable = False
        self._folders: dict[str, ServerFolder] = {}
        self._selected: Folder | None = None
        self._deleters: dict[str, Deleter] = {}
        self._standing = ""
        self._opened: str | None = None
        """The folder that was opened just now, with nothing done in it yet."""

    def listings(self, *, writable: bool) -> Iterator[Listing]:
        """Every declared folder that exists; what does not is noted in the first one. None at all is an error."""
        self._writable = writable
        client = self._connected()
        with self._failures.translated("listing"):
            chosen = self._choose(client)
            notes = list(chosen.notes)
            closed: list[tuple[str, str]] = []
            listings: list[Listing] = []
            stands: list[Stand | None] = []
            for name in chosen.folders:
                listed = self._list(client, name, closed, stands)
                listings.extend([listed] if listed is not None else [])
            self._standing = text(stands)
        if not listings:
            raise self._failures.missing(closed, notes)
        first, *others = listings
        yield replace(first, notes=(*notes, *(note for note, _ in closed), *self._alerts(client)))
        yield from others

    @property
    def standing(self) -> str:
        return self._standing

    def unchanged(self, standing: str, *, writable: bool) -> bool:
        """One SELECT or EXAMINE for each folder."""
        self._writable = writable
        client = self._connected()
        with self._failures.translated("looking for changes"):
            chosen = self._choose(client)
            found = [self._stand(client, name) for name in chosen.folders]
        return not chosen.notes and same(standing, found)

    def fetch(self, folder: Folder, messages: Sequence[Listed]) -> Iterator[Fetched]:
        """See `Bodies`: in order, but a message that has to be asked for again comes after its batch."""
        client = self._connected()
        with self._failures.translated("fetching"):
            self._enter(client, folder)
            for fetched in Bodies(client, self._failures).fetch(messages):
                yield fetched
                self._check_validity(client, folder)

    def headers(self, folder: Folder, messages: Sequence[Listed]) -> Iterator[tuple[Listed, bytes | None]]:
        client = self._connected()
        with self._failures.translated("fetching headers"):
            self._enter(client, folder)
            yield from fetch_headers(client, self._failures, messages)
            self._check_validity(client, folder)

    def delete(self, folder: Folder, messages: Sequence[Listed]) -> Deletion:
        """Deleted and confirmed at once; nothing is pending until `finish`."""
        if not messages:
            return Deletion()
        client = self._connected()
        with self._failures.translated("deleting"):
            self._enter(client, folder)
            self._check_validity(client, folder)
            if client.dialogue.read_only:
                reason = "the server opens this folder read-only"
                return Deletion(refused=tuple((listed.key, reason) for listed in messages))
            deleter = self._deleters.setdefault(folder.name, Deleter(client.dialogue, self._failures))
            return deleter.delete(int(listed.key) for listed in messages)

    def finish(self) -> Deletion:
        """LOGOUT. Everything is settled by then, so that its failure is nobody's."""
        if self._client is not None:
            with suppress(imaplib.IMAP4.error, SourceError):  # the server may hang up first
                self._client.dialogue.run("LOGOUT")
        self._connection.abort()
        return Deletion()

    def abort(self) -> None:
        self._connection.abort()

    def _connected(self) -> Client:
        if self._client is None:
            self._client = log_in(self._connection, self._failures, self._credentials, self._habits, self._identity)
        return self._client

    def _choose(self, client: Client) -> Chosen:
        """LIST only where it is needed: accounts may show thousands of shared folders."""
        if all(name.upper() == "INBOX" for name in self._declared):
            chosen = Chosen({"INBOX": INBOX}, ())
        else:
            chosen = choose_folders(client, self._declared, self._failures)
        self._folders = chosen.folders
        return chosen

    def _stand(self, client: Client, name: str) -> Stand | None:
        completed = client.dialogue.select_folder(self._folders[name].raw, writable=self._writable)
        self._opened = name if completed.ok else None
        return stand(client.dialogue, name) if completed.ok else None

    def _open(self, client: Client, name: str) -> Completed:
        """Not again, where `unchanged` has just done it."""
        if self._opened == name:
            return Completed("OK", "")
        return client.dialogue.select_folder(self._folders[name].raw, writable=self._writable)

    def _alerts(self, client: Client) -> Iterator[str]:
        """What a person has to be told (RFC 3501, 7.1: ALERT)."""
        for alert in client.dialogue.alerts:
            yield f"the server's alert: {self._failures.shown(alert)}"

    def _list(self, client: Client, name: str, closed: list[tuple[str, str]],
              stands: list[Stand | None]) -> Listing | None:
        """None, and a note, for a folder that the server will not open: the others are still collected (I16)."""
        completed = self._open(client, name)
        self._opened = None
        if not completed.ok:
            if throttles(completed.text):
                raise self._failures.refused(f'opening "{name}"', completed.text)
            closed.append((f'the server does not open the folder "{name}": {self._failures.shown(completed.text)}',
                           completed.text))
            return None
        stands.append(found := stand(client.dialogue, name))
        folder = Folder(self._account, name, selected_validity(client.dialogue))
        self._selected = folder
        next_key = selected_next(client.dialogue)
        messages = list_messages(client.dialogue, self._failures)
        if found and found[3] != len(messages):
            stands[-1] = None  # more came meanwhile, or the server cannot count
        self._check_validity(client, folder)
        return Listing(folder, messages, read_only=self._writable and client.dialogue.read_only,
                       next_key=next_key)

    def _enter(self, client: Client, folder: Folder) -> None:
        if self._selected == folder:
            return
        completed = client.dialogue.select_folder(self._folders[folder.name].raw, writable=self._writable)
        if not completed.ok:
            raise self._failures.refused(f'opening "{folder.name}" again', completed.text)
        found = selected_validity(client.dialogue)
        if found != folder.validity:
            raise self._renumbered(folder)
        self._selected = folder

    def _check_validity(self, client: Client, folder: Folder) -> None:
        """A new UIDVALIDITY in the middle means that our UIDs name other messages now (hazard I10)."""
        told = client.dialogue.told_validity()
        if told is not None and told != folder.validity:
            raise self._renumbered(folder)

    def _renumbered(self, folder: Folder) -> ProtocolViolation:
        return ProtocolViolation(f'{self._endpoint}: the folder "{folder.name}" was numbered anew during the session; '
                                 "nothing more is fetched or deleted in it")
