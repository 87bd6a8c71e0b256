"""Several FETCH commands under way at once, and what the server sends for them.

A server may work on commands side by side and end them in any order where nothing depends on the
order (RFC 3501, section 5.5). Dovecot does so when the output of one of them has to wait. So a
response counts for whichever command asked for its message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.model.messages import Listed
from reconciler.sources.imap.fetch_responses import Fetched, Value
from reconciler.sources.imap.imap_dialogue import Goodbye, ImapDialogue

Window = Mapping[int, Listed]
"""Messages by UID."""


class PipelinedFetch:
    """Of one run of messages. `doubtful` are the UIDs of those that are to be asked for again."""

    def __init__(self, dialogue: ImapDialogue) -> None:
        self._dialogue = dialogue
        self._windows: dict[bytes, Window] = {}
        self._wanted: dict[int, Listed] = {}
        self._given: set[int] = set()
        self._held: tuple[int, Value] | None = None
        self.doubtful: set[int] = set()

    def __len__(self) -> int:
        return len(self._windows)

    def ask(self, uids: str, window: Window) -> None:
        """One command more; `uids` is the set that stands for `window`."""
        self._windows[self._dialogue.ask_uids(uids, "(UID BODY.PEEK[])")] = window
        self._wanted.update(window)

    def read(self) -> Iterator[tuple[Listed, Value] | Window]:
        """Bodies until one command is complete, then what that one was for.

        Each body comes one response late: when the next bears the same UID, both are in doubt
        (hazard I8). Flags of others, and others (hazard I7), are passed over. When the connection
        ends, the last body has come nevertheless.
        """
        try:
            for response in self._dialogue.answers(self._windows):
                if isinstance(response, Fetched):
                    found = self._take(response)
                    if found is not None:
                        yield found
                    continue
                if last := self._give(None):
                    yield last
                window = self._windows.pop(response.tag)
                for uid in window:
                    del self._wanted[uid]
                yield window
        except (Goodbye, ConnectionFailed):
            if last := self._give(None):
                yield last
            raise

    def suspects(self) -> list[Listed]:
        """Of the oldest command that is not complete: what would have come next, then what was left
        out; also what is held back, for when the server breaks its protocol that may be its
        beginning. All of it, where nothing of it has come: nobody knows in which order the server
        works."""
        for window in self._windows.values():
            open_ = sorted(
                uid for uid in window if uid not in self._given and uid not in self.doubtful
            )
            if not open_:
                continue
            last = max((uid for uid in window if uid in self._given), default=0)
            if not last:
                return [window[uid] for uid in open_]
            skipped, following = (
                [uid for uid in open_ if uid < last],
                [uid for uid in open_ if uid > last],
            )
            count = 2 if self._held is not None and following[:1] == [self._held[0]] else 1
            return [window[uid] for uid in (*reversed(following[:count]), *skipped)]
        return []

    def _take(self, response: Fetched) -> tuple[Listed, Value] | None:
        """The body before this one."""
        uid = response.uid
        if uid is None or uid not in self._wanted or b"BODY[]" not in response.attributes:
            self._dialogue.unasked(response)
            return None
        if uid in self._given:
            raise ProtocolViolation(
                f"{self._dialogue.connection.endpoint}: the server sent a message twice, the "
                "second time after others"
            )
        if uid in self.doubtful:
            self._dialogue.unasked(response)
            return None
        if self._held is not None and self._held[0] == uid:
            self.doubtful.add(uid)
            self._held = None
            return None
        return self._give((uid, response.attributes[b"BODY[]"]))

    def _give(self, following: tuple[int, Value] | None) -> tuple[Listed, Value] | None:
        """What is held back; from now on `following` is."""
        held, self._held = self._held, following
        if held is None:
            return None
        uid, body = held
        self._given.add(uid)
        return self._wanted[uid], body
