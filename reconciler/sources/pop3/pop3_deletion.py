"""Delete messages by POP3: DELE now, and QUIT at the end, which makes the deletes (RFC 1939,
section 6)."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.errors import SourceError
from reconciler.model.messages import Deletion, Listed
from reconciler.sources.pop3.maildrop import Maildrop
from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue

_AT_ONCE = 200


class PendingDeletes:
    """The deletes of one connection. They are lost where it breaks before QUIT."""

    def __init__(self, dialogue: Pop3Dialogue) -> None:
        self._dialogue = dialogue
        self._retrieved: dict[str, str] = {}
        """By key: why a message that was retrieved must not be deleted; "" where it may be."""
        self._pending: set[str] = set()

    def note_retrieved(self, listed: Listed, doubt: str) -> None:
        """Note that a message was retrieved, and a doubt about which one it was."""
        self._retrieved[listed.key] = doubt

    def mark(self, maildrop: Maildrop, messages: Sequence[Listed], *, pipelined: bool) -> Deletion:
        """Send DELE for each message that may be deleted. What the server accepts is pending.

        Raises SourceError.
        """
        refused = [
            (listed.key, reason)
            for listed in messages
            if (reason := self._reason_to_keep(maildrop, listed))
        ]
        unfit = {key for key, _ in refused}
        wanted = [listed.key for listed in messages if listed.key not in unfit]
        at_once = _AT_ONCE if pipelined else 1
        accepted: set[str] = set()
        for start in range(0, len(wanted), at_once):
            keys = wanted[start : start + at_once]
            self._dialogue.send(*[b"DELE %d" % maildrop.numbers[key] for key in keys])
            for key in keys:
                reply = self._dialogue.answer()
                if reply.ok:
                    accepted.add(key)
                else:
                    refused.append((key, f"DELE refused: {self._dialogue.quote(reply)}"))
        if len(refused) > len(unfit):
            # A server that closes after its refusal takes back all deletes: better noticed now.
            self._dialogue.command(b"NOOP")
        self._pending |= accepted
        return Deletion(pending=frozenset(accepted), refused=tuple(refused))

    def quit(self, *, connected: bool) -> Deletion:
        """Send QUIT where a server is `connected`; never raises.

        Where it fails the deletes count as refused, as it is not known whether they took place.
        """
        pending, self._pending = frozenset(self._pending), set()
        try:
            reason = self._send_quit() if connected else ""
        except SourceError as error:
            reason = str(error)
        if reason:
            return Deletion(refused=tuple((key, reason) for key in sorted(pending)))
        return Deletion(confirmed=pending)

    def _reason_to_keep(self, maildrop: Maildrop, listed: Listed) -> str:
        """Return why a message must not be deleted, "" where it may be."""
        if listed.key not in maildrop.numbers:
            return "it is not on the server"
        if doubt := self._retrieved.get(listed.key):
            return doubt
        sure = maildrop.keys_stable and not listed.ambiguous
        return (
            ""
            if sure or listed.key in self._retrieved
            else "its UIDL does not tell it from other messages"
        )

    def _send_quit(self) -> str:
        """Send QUIT; return why the deletes may not have taken place, "" where they did."""
        if self._dialogue.owed:
            return "the session was broken off"
        reply = self._dialogue.command(b"QUIT")
        return "" if reply.ok else f"QUIT refused: {self._dialogue.quote(reply)}"
