"""Messages of a server without UIDL: known by their content alone (hazard P1). Only mode all-delete
can do with that.

The content must be read before it can be said which message it is, so it is spooled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.incoming_message import Incoming
from reconciler.collect.message_spool import spool
from reconciler.collect.selection import Attempt
from reconciler.model.outcomes import Entry, MessageState


class ByContent(Struct):
    """What a session learns of such messages. `known` is the ledger's, by the identities given out
    here."""

    known: Mapping[str, Entry]
    identities: dict[str, str] = field(default_factory=dict)
    """By the session's own key of the message."""
    _seen: Counter[str] = field(default_factory=Counter)

    def identify(self, attempt: Attempt, incoming: Incoming) -> tuple[Attempt, Iterator[bytes]]:
        """The attempt with its true identity, and the content again. Equal messages are told apart
        by counting."""
        content = spool(incoming)
        identity = f"sha256:{incoming.fingerprint.content}"
        self.identities[attempt.listed.key] = identity
        count = self._seen[identity]
        self._seen[identity] += 1
        return replace(
            attempt, identity=identity, previous=self._previous(identity, count)
        ), content

    def _previous(self, identity: str, count: int) -> Entry | None:
        """What is known of the `count`-th message of this content in this session."""
        entry = self.known.get(identity)
        if entry is None or entry.state is not MessageState.COLLECTED:
            return Entry(identity, MessageState.COLLECTED, count - 1) if count else entry
        if count <= entry.occurrence and not entry.deleted:
            return replace(
                entry, deleted=True
            )  # collected, and its deletion failed: the session only deletes it
        return replace(entry, occurrence=max(entry.occurrence, count - 1), deleted=False)
