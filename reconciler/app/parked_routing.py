"""Explain why a message that waits on the server has no recipient, by a look at its headers."""

from __future__ import annotations

from reconciler.app.adapters import open_destination, open_source
from reconciler.app.login_secrets import LoginSecrets
from reconciler.app.session_assembly import task
from reconciler.control.routing_requests import NotOnServer
from reconciler.ledger import SqlLedger
from reconciler.mail.headers import HEAD
from reconciler.model.interfaces import Source
from reconciler.model.messages import Arrival, Pace
from reconciler.model.routing_answer import Routing
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector


class ParkedRouting:
    """Explains messages (`control.routing_requests.Explain`)."""

    def __init__(self, settings: Settings, ledger: SqlLedger, tokens: LoginSecrets) -> None:
        self._settings = settings
        self._ledger = ledger
        self._tokens = tokens

    def explain(self, collector: DesiredCollector, folder: str, key: str) -> Routing:
        """Return who would get the message, and why. Raises CollectorError, NotOnServer."""
        spec = collector.effective.source
        secret = self._tokens.secret_of(spec, collector=collector.name)
        source = open_source(spec, secret, self._settings)
        try:
            head = _head(source, folder, key)
        finally:
            source.abort()
        destination = open_destination(collector, self._settings, self._ledger)
        try:
            return task(collector, destination).route(head)
        finally:
            destination.finish()


def _head(source: Source, folder: str, key: str) -> bytes:
    """Return the beginning of a message. Raises NotOnServer."""
    for listing in source.listings(writable=False):
        if listing.folder.name != folder:
            continue
        wanted = [one for one in listing.messages if one.key == key]
        for found in source.fetch(listing.folder, wanted, Pace.SINGLY) if wanted else ():
            if isinstance(found, Arrival):
                return _beginning(found)
    raise NotOnServer("this message is not on the server any more")


def _beginning(arrival: Arrival) -> bytes:
    head = b""
    for piece in arrival.content:
        head += piece
        if len(head) >= HEAD:
            break
    return head[:HEAD]
