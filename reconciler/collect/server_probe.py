"""Find out whether the server gives any message of a folder at all.

Without a request for another message, a server that fails for one message looks like one that fails
for all. So a message that came before, the probe, is asked for again. In the modes that delete, one
message is kept on the server as a probe until the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from heapq import nsmallest
from typing import Generic

from reconciler.collect.selection import FolderWork
from reconciler.collect.session_connection import SessionConnection
from reconciler.collect.session_context import FetchProgress, S, SessionContext
from reconciler.model.errors import FolderFailed, SourceError
from reconciler.model.messages import Arrival, Listed, Pace, Unfetched

_PROBES = 2


class ServerProbe(Generic[S]):
    """The probes of one folder."""

    def __init__(
        self,
        context: SessionContext[S],
        connection: SessionConnection[S],
        progress: FetchProgress,
        work: FolderWork,
    ) -> None:
        self._context = context
        self._connection = connection
        self._progress = progress
        self._work = work
        self._arrived: list[Listed] = []
        """Messages that came in this session and are still on the server."""
        self._kept: list[Listed] = []
        """The message that is recorded as collected, and deleted last."""

    def add(self, listed: Listed) -> None:
        self._arrived.append(listed)

    def forget(self, keys: Collection[str]) -> None:
        """Forget messages that are deleted from the server."""
        if keys:
            self._arrived = [listed for listed in self._arrived if listed.key not in keys]

    def keep_one(self, messages: Sequence[Listed]) -> Sequence[Listed]:
        """Return what may be deleted now: all but one, unless one is kept already."""
        if self._kept:
            return messages
        self._kept = _cheapest(messages)[:1]
        return [listed for listed in messages if listed not in self._kept]

    def take_kept(self) -> list[Listed]:
        kept, self._kept = self._kept, []
        return kept

    def server_gives(self) -> bool | None:
        """Return whether the server gives a message that it gave before. Return None without such a
        message or without a connection."""
        gives = None
        probes = _cheapest(self._arrived or self._kept or self._work.collected)
        if self._connection.last_fetched is Unfetched:
            # asked for twice: the refusal before it may be what ends the connection
            probes = [*probes[:1], *probes]
        for probe in probes:
            try:
                self._connection.ensure_connected()
            except FolderFailed:
                raise
            except SourceError:
                if self._context.steering.stopping:
                    raise
                return gives
            came = self._comes(probe)
            if came:
                self._progress.arrived += 1
                return True
            gives = gives if came is None else False
        return gives

    def _comes(self, probe: Listed) -> bool | None:
        """Return whether the message comes, and is not empty. None: somebody has deleted it."""
        came: bool | None = None
        try:
            with self._connection.command():
                for fetched in self._context.source.fetch(self._work.folder, [probe], Pace.SINGLY):
                    if isinstance(fetched, Arrival):
                        came = sum(map(len, fetched.content)) > 0
                    elif isinstance(fetched, Unfetched):
                        came = False
        except FolderFailed:
            raise
        except SourceError as error:
            self._connection.note_loss(error)
            return False
        return came


def _cheapest(messages: Iterable[Listed]) -> list[Listed]:
    """Return the smallest messages. One alone would not do: it may have become unreadable since."""
    return nsmallest(
        _PROBES,
        (listed for listed in messages if listed.size),
        key=lambda listed: listed.size or 0,
    )
