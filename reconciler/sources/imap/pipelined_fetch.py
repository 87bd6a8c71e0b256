"""Keep several FETCH commands under way at once, and sort what the server sends for them.

A server may work on commands in parallel and complete them in any order where nothing depends on
the order (RFC 3501, section 5.5). Dovecot does so when the output of one of them has to wait. So a
response counts for whichever command asked for its message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.model.messages import Listed
from reconciler.sources.imap.fetch_responses import Fetched, Value
from reconciler.sources.imap.imap_dialogue import Goodbye, ImapDialogue

Window = Mapping[int, Listed]
"""The messages that one command asks for, by UID."""


class PipelinedFetch:
    """The commands under way for one run of messages."""

    def __init__(self, dialogue: ImapDialogue) -> None:
        self._dialogue = dialogue
        self._windows: dict[bytes, Window] = {}
        self._wanted: dict[int, Listed] = {}
        self._given: set[int] = set()
        self._held: tuple[int, Value] | None = None
        """The UID and body that came last. Only the next response shows whether it is repeated."""
        self.doubtful: set[int] = set()
        """UIDs of messages that are to be asked for again by themselves."""

    def __len__(self) -> int:
        """Return the number of commands under way."""
        return len(self._windows)

    def ask(self, uids: str, window: Window) -> None:
        """Send one more command; `uids` is the set that stands for `window`."""
        self._windows[self._dialogue.ask_uids(uids, "(UID BODY.PEEK[])")] = window
        self._wanted.update(window)

    def read(self) -> Iterator[tuple[Listed, Value] | Window]:
        """Yield (message, body) until one command is complete, then the window of that command.

        Responses about other messages (hazard I7), or without a body, are passed over. When the
        connection ends, the body that is held back is yielded before the error is raised.
        """
        # Each body is yielded one response late: where the next response has the same UID, both
        # are in doubt (hazard I8).
        try:
            for response in self._dialogue.answers(self._windows):
                if isinstance(response, Fetched):
                    found = self._take(response)
                    if found is not None:
                        yield found
                    continue
                if last := self._hold(None):
                    yield last
                window = self._windows.pop(response.tag)
                for uid in window:
                    del self._wanted[uid]
                yield window
        except (Goodbye, ConnectionFailed):
            if last := self._hold(None):
                yield last
            raise

    def suspects(self) -> list[Listed]:
        """Return the messages that may have ended the connection, likeliest first.

        They belong to the oldest incomplete command: first the next expected message, then those
        left out before it. The one that is held back counts as well, since a broken response may
        have begun in it. If nothing of the command has come, all of its messages are returned,
        because the server's order is not known.
        """
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
        """Take a response; return the message and body that were held back before it."""
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
        return self._hold((uid, response.attributes[b"BODY[]"]))

    def _hold(self, following: tuple[int, Value] | None) -> tuple[Listed, Value] | None:
        """Hold `following` back and return what was held back before."""
        held, self._held = self._held, following
        if held is None:
            return None
        uid, body = held
        self._given.add(uid)
        return self._wanted[uid], body
