"""Recognise messages whose key on the server has changed. Pure.

A message has a new key when the server renumbers, or when the account changes: host, port, user
name, protocol. The ledger's records of folders that are no longer listed are called orphans. They
are matched with unknown messages one to one, so two identical messages are two messages:

    one orphan and one message with these headers      presumed the same: kept, not collected again
    several of either, or the orphan's delivery began  doubtful: the whole content is fetched and
                                                       compared
    the headers cannot be fetched alone                doubtful
    no orphan has these headers                        new

A server without UIDL gives no lasting key at all (hazard P1): `ContentKeys` uses the digest of the
content in its place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.incoming_message import IncomingMessage, spool
from reconciler.collect.known_listing import WHOLE
from reconciler.collect.selection import Attempt
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import Entry, MessageState, Orphan

_DIGEST = "sha256:"
"""The prefix of a key that is a digest of the content."""
Place = tuple[Folder, str]
"""A message as it is listed now: its folder and its key."""


def match(
    headers: Mapping[Place, str], orphans: Iterable[Orphan], bearers: Mapping[str, int]
) -> dict[Place, Orphan]:
    """Return the messages that are presumed to be an orphan.

    `headers`: header digests of listed messages that the ledger does not know; `orphans`: all that
    have one of these digests; `bearers`: the number of unknown messages, in all folders, with each
    digest.
    """
    lost: defaultdict[str, list[Orphan]] = defaultdict(list)
    for orphan in orphans:
        lost[orphan.fingerprint.header].append(orphan)
    return {
        place: lost[header][0]
        for place, header in headers.items()
        if len(lost.get(header, ())) == bearers[header] == 1
        and lost[header][0].entry.state in WHOLE
    }


def recognise(
    fingerprint: Fingerprint, orphans: Iterable[Orphan], claimed: Collection[int]
) -> Orphan | None:
    """Return the orphan with the same content, a collected one if possible. Orphans `claimed` by
    other messages are left out."""
    same = [
        orphan
        for orphan in orphans
        if orphan.fingerprint == fingerprint and orphan.number not in claimed
    ]
    return min(same, key=lambda orphan: orphan.entry.state not in WHOLE, default=None)


class ContentKeys(Struct):
    """Keys made from the content, for a server without UIDL. Only mode all-delete can use them.

    `known` is what the ledger recorded under such keys. The content must be read before the key is
    known, so it is spooled.
    """

    known: Mapping[str, Entry]
    keys: dict[str, str] = field(default_factory=dict)
    """The permanent key of each message, by its key in this session."""
    _seen: Counter[str] = field(default_factory=Counter)

    def identify(
        self, attempt: Attempt, incoming: IncomingMessage
    ) -> tuple[Attempt, Iterator[bytes]]:
        """Return the attempt with its true key, and the content again. Equal messages are told
        apart by counting."""
        content = spool(incoming)
        key = f"{_DIGEST}{incoming.fingerprint.content}"
        self.keys[attempt.listed.key] = key
        count = self._seen[key]
        self._seen[key] += 1
        return replace(attempt, content_key=key, previous=self._previous(key, count)), content

    def _previous(self, key: str, count: int) -> Entry | None:
        """Return what is known of the `count`-th message of this content in this session."""
        entry = self.known.get(key)
        if entry is None or entry.state is not MessageState.COLLECTED:
            return Entry(key, MessageState.COLLECTED, count - 1) if count else entry
        if count <= entry.occurrence and not entry.deleted:
            # collected, and its deletion failed: the session only deletes it
            return replace(entry, deleted=True, content=key.removeprefix(_DIGEST))
        return replace(entry, occurrence=max(entry.occurrence, count - 1), deleted=False)
