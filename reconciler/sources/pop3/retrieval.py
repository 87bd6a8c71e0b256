"""RETR of many messages, several under way at once where the server allows for it (RFC 2449, section 6.6)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Arrival, Fetched, Listed, Unfetched, Vanished
from reconciler.providers.refusals import concerns_all
from reconciler.sources.pop3.body import Body
from reconciler.sources.pop3.dialogue import Dialogue, Reply

Numbered = tuple[int, Listed]
Doubts = Callable[[Listed, str], None]
"""Hears of each message that was read to its end, and what speaks against its being whole; "": nothing does."""

WINDOW_COUNT = 64
WINDOW_OCTETS = 4 << 20
_UNKNOWN_SIZE = 64 << 10
_UNCOUNTED = 5  # the last line end and the final dot's line: some servers count them
_OCTETS = re.compile(rb"(\d{1,10}) octets", re.IGNORECASE)
_GONE = re.compile(rb"no such message|deleted|expunged|does(?: not|n't) exist", re.IGNORECASE)


class Retrieval:
    """Each of `messages`, by number, in order; `count` of them under way at once at most. A message that was not read
    to its end is skipped over."""

    def __init__(self, dialogue: Dialogue, messages: Iterable[Numbered], count: int, retrieved: Doubts) -> None:
        self._dialogue = dialogue
        self._window = _Window(dialogue, messages, count)
        self._retrieved = retrieved

    @property
    def suspects(self) -> Sequence[Listed]:
        """See `Source.suspects`: replies come in the order of the commands, so it is the one whose turn it was."""
        return self._window.first()

    def __iter__(self) -> Iterator[Fetched]:
        dialogue = self._dialogue
        for listed in self._window:
            reply = dialogue.reply()
            if not reply.ok:
                dialogue.owed -= 1
                yield _refused(dialogue, listed, reply)
                continue
            body = Body(dialogue.connection)
            message = _Message(dialogue, body, listed, reply, self._retrieved)
            yield Arrival(listed, message.content(), message.doubt)
            if not body.complete:
                body.drain()
                message.end()


def _refused(dialogue: Dialogue, listed: Listed, reply: Reply) -> Fetched:
    if _GONE.search(reply.rest):
        return Vanished(listed)
    later = dialogue.refusal(reply, "RETR refused") if concerns_all(reply.text, reply.code) else None
    return Unfetched(listed, f"the server refused it: {dialogue.quote(reply)}", later)


class _Window:
    """Sends RETR for as many messages as may be under way, and yields them in the order of the replies. Commands are
    few and short, so they never fill a server's input while its output waits for us."""

    def __init__(self, dialogue: Dialogue, messages: Iterable[Numbered], count: int) -> None:
        self._dialogue = dialogue
        self._waiting = deque(messages)
        self._asked: deque[Listed] = deque()
        self._current: Listed | None = None
        self._count = count
        self._octets = 0

    def first(self) -> list[Listed]:
        """Whose reply is being read, or is due."""
        return [self._current] if self._current is not None else list(self._asked)[:1]

    def __iter__(self) -> Iterator[Listed]:
        while self._waiting or self._asked:
            if len(self._asked) <= self._count // 2:  # by halves: one packet of commands for many messages
                self._ask()
            self._current = listed = self._asked.popleft()
            self._octets -= _expected(listed)
            yield listed
            self._current = None

    def _ask(self) -> None:
        commands = []
        while self._waiting and len(self._asked) < self._count and (self._octets < WINDOW_OCTETS or not self._asked):
            number, listed = self._waiting.popleft()
            commands.append(b"RETR %d" % number)
            self._asked.append(listed)
            self._octets += _expected(listed)
        if commands:
            self._dialogue.send(*commands)


class _Message:
    """One message on its way, and whether it can be believed to be whole."""

    __slots__ = ("_body", "_dialogue", "_doubt", "_listed", "_reply", "_retrieved")

    def __init__(self, dialogue: Dialogue, body: Body, listed: Listed, reply: Reply, retrieved: Doubts) -> None:
        self._dialogue = dialogue
        self._body = body
        self._listed = listed
        self._reply = reply
        self._retrieved = retrieved
        self._doubt = ""

    def content(self) -> Iterator[bytes]:
        yield from self._body
        self.end()
        self._doubt = self._judge()
        self._retrieved(self._listed, self._doubt)

    def end(self) -> None:
        """What follows must be a reply: else a dot of the message's own was taken for its end (hazard P7)."""
        dialogue = self._dialogue
        dialogue.owed -= 1
        following = dialogue.connection.peek(0, 3).upper()
        if following and not (dialogue.owed and (b"+OK".startswith(following) or b"-ERR".startswith(following))):
            raise ProtocolViolation(f"{dialogue.connection.endpoint}: something follows the end of a message: the "
                                    "server does not double the dots at the beginning of lines")

    def doubt(self) -> str:
        return self._doubt

    def _judge(self) -> str:
        """Sizes are hints (hazard P13): servers count line ends, doubled dots and the end in their own ways, and more
        than announced is no harm. But when fewer octets came than any announcement, something may be missing."""
        announced = [size for size in (self._listed.size, _announced(self._reply)) if size is not None]
        came = self._body.octets
        if not announced or came + self._body.stuffing + _UNCOUNTED >= min(announced):
            return ""
        return f"{min(announced)} octets were announced and {came} came"


def _expected(listed: Listed) -> int:
    return _UNKNOWN_SIZE if listed.size is None else listed.size


def _announced(reply: Reply) -> int | None:
    found = _OCTETS.search(reply.rest)
    return int(found[1]) if found else None
