"""RETR of many messages, several under way at once where the server allows for it (RFC 2449,
section 6.6)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from reconciler.mail.internal_messages import INTERNAL, INTERNAL_SIZE, is_internal
from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.model.messages import Arrival, Fetched, Listed, Unfetched, Vanished
from reconciler.replies.refusals import concerns_all
from reconciler.sources.pop3.multiline_body import Body
from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue, Pop3Reply

Numbered = tuple[int, Listed]
Doubts = Callable[[Listed, str], None]
"""Hears of each message that was read to its end, and what speaks against its being whole; "":
nothing does."""

WINDOW_COUNT = 64
WINDOW_OCTETS = 4 << 20
_UNKNOWN_SIZE = 64 << 10
_UNCOUNTED = 5  # the last line end and the final dot's line: some servers count them
_OCTETS = re.compile(rb"(\d{1,10}) octets", re.IGNORECASE)
_REPLIES = (b"+OK", b"-ERR", b"+ERR")
_STATUS_OCTETS = 3
_END = b".\r\n"
_EMPTY = "the server sent nothing, although it announced a size"
_GONE = re.compile(rb"no such message|deleted|expunged|does(?: not|n't) exist", re.IGNORECASE)


_HEADERS_AT_ONCE = 200
_LARGEST_HEADER = 1 << 20


class Retrieval:
    """Each of `messages`, by number, in order; `count` of them under way at once at most. A message
    that was not read to its end is skipped over."""

    def __init__(
        self, dialogue: Pop3Dialogue, messages: Iterable[Numbered], count: int, retrieved: Doubts
    ) -> None:
        self._dialogue = dialogue
        numbered = list(messages)
        self._first = next((listed.key for number, listed in numbered if number == 1), None)
        self._window = _Window(dialogue, numbered, count)
        self._retrieved = retrieved
        self._body: Body | None = None

    @property
    def suspects(self) -> Sequence[Listed]:
        """See `Source.suspects`: replies come in the order of the commands, so it is the one whose
        turn it was. Where a message has ended and no reply follows, it is the next one, or the
        message did not end there."""
        return self._window.first(self._body is not None and self._body.complete)

    def __iter__(self) -> Iterator[Fetched]:
        dialogue = self._dialogue
        for listed in self._window:
            self._body = None
            reply = dialogue.reply()
            if not reply.ok:
                dialogue.owed -= 1
                yield _refused(dialogue, listed, reply)
                continue
            body = self._body = Body(dialogue.connection, others=dialogue.owed > 1)
            if (listed.size or 0) > _UNCOUNTED and self._is_empty():
                body.drain()
                _Message(dialogue, body, listed, reply, self._retrieved).end()
                yield Unfetched(listed, _EMPTY)
                continue
            message = _Message(dialogue, body, listed, reply, self._retrieved)
            if listed.key == self._first and self._may_be_internal(listed):
                content = b"".join(message.content())
                yield (
                    Unfetched(listed, INTERNAL, final=True)
                    if is_internal(content)
                    else Arrival(listed, iter([content]), message.doubt)
                )
                continue
            yield Arrival(listed, message.content(), message.doubt)
            if not body.complete:
                body.drain()
                message.end()

    def _is_empty(self) -> bool:
        """The reply that is being read has no body."""
        connection = self._dialogue.connection
        while connection.buffered() < len(_END):
            connection.fill(bulk=True)
        return connection.peek(0, len(_END)) == _END

    def _may_be_internal(self, listed: Listed) -> bool:
        """Of the first message, whose reply is being read: by its size and by how it begins."""
        connection = self._dialogue.connection
        if (listed.size or 0) > INTERNAL_SIZE:
            return False
        if not connection.buffered():
            connection.fill(bulk=True)
        return b"INTERNAL DATA" in connection.peek(0, INTERNAL_SIZE).upper()


def _refused(dialogue: Pop3Dialogue, listed: Listed, reply: Pop3Reply) -> Fetched:
    if _GONE.search(reply.rest):
        return Vanished(listed, dialogue.quote(reply))
    later = (
        dialogue.refusal(reply, "RETR refused") if concerns_all(reply.text, reply.code) else None
    )
    return Unfetched(listed, f"the server refused it: {dialogue.quote(reply)}", later)


class _Window:
    """Sends RETR for as many messages as may be under way, and yields them in the order of the
    replies. Commands are few and short, so they never fill a server's input while its output waits
    for us."""

    def __init__(self, dialogue: Pop3Dialogue, messages: Iterable[Numbered], count: int) -> None:
        self._dialogue = dialogue
        self._waiting = deque(messages)
        self._asked: deque[Listed] = deque()
        self._current: Listed | None = None
        self._count = count
        self._octets = 0

    def first(self, ended: bool) -> list[Listed]:
        """Whose reply is being read, or is due. `ended`: it was read, and the one before it comes
        second."""
        due = list(self._asked)[:1]
        if self._current is None:
            return due
        return [*due, self._current] if ended else [self._current]

    def __iter__(self) -> Iterator[Listed]:
        while self._waiting or self._asked:
            if (
                len(self._asked) <= self._count // 2
            ):  # by halves: one packet of commands for many messages
                self._ask()
            self._current = listed = self._asked.popleft()
            self._octets -= _expected(listed)
            yield listed
            self._current = None

    def _ask(self) -> None:
        commands = []
        while (
            self._waiting
            and len(self._asked) < self._count
            and (self._octets < WINDOW_OCTETS or not self._asked)
        ):
            number, listed = self._waiting.popleft()
            commands.append(b"RETR %d" % number)
            self._asked.append(listed)
            self._octets += _expected(listed)
        if commands:
            self._dialogue.send(*commands)


class _Message:
    """One message on its way, and whether it can be believed to be whole."""

    __slots__ = ("_body", "_dialogue", "_doubt", "_listed", "_reply", "_retrieved")

    def __init__(
        self,
        dialogue: Pop3Dialogue,
        body: Body,
        listed: Listed,
        reply: Pop3Reply,
        retrieved: Doubts,
    ) -> None:
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
        """What follows must be a reply: else a dot of the message's own was taken for its end
        (hazard P7)."""
        dialogue = self._dialogue
        dialogue.owed -= 1
        if dialogue.owed and not dialogue.in_order:
            self._await_next()
        following = dialogue.connection.peek(0, 3).upper()
        if following and not (
            dialogue.owed and any(reply.startswith(following) for reply in _REPLIES)
        ):
            if dialogue.owed:
                dialogue.disordered()
            raise ProtocolViolation(
                f"{dialogue.connection.endpoint}: something follows the end of a message: the "
                "server does not double the dots at the beginning of lines"
            )

    def _await_next(self) -> None:
        """Of the first of several under way: a server that does not understand pipelining mixes its
        replies up, and what this message was given may be a part of the next one's."""
        dialogue = self._dialogue
        with suppress(
            ConnectionFailed
        ):  # this one has come; whoever reads on meets the failure again
            while dialogue.connection.buffered() < _STATUS_OCTETS:
                dialogue.connection.fill(bulk=True)
            dialogue.in_order = True

    def doubt(self) -> str:
        return self._doubt

    def _judge(self) -> str:
        """Sizes are hints (hazard P13): servers count line ends, doubled dots and the end in their
        own ways, and more than announced is no harm. But when fewer octets came than any
        announcement, something may be missing; and when a quarter of what LIST told is missing,
        RETR may have announced, and given, something else in its place: a text that says that the
        message could not be retrieved. A server whose LIST is so far too large for every message
        keeps them all: each is delivered once, and the sessions say so."""
        listed, came = self._listed.size, self._body.octets
        announced = [size for size in (listed, _announced(self._reply)) if size is not None]
        if listed is not None and 4 * (came + self._body.stuffing + _UNCOUNTED) < 3 * listed:
            return f"{listed} octets were announced and {came} came"
        if not announced or came + self._body.stuffing + _UNCOUNTED >= min(announced):
            return ""
        return f"{min(announced)} octets were announced and {came} came"


def _expected(listed: Listed) -> int:
    return _UNKNOWN_SIZE if listed.size is None else listed.size


def _announced(reply: Pop3Reply) -> int | None:
    found = _OCTETS.search(reply.rest)
    return int(found[1]) if found else None


def fetch_headers(
    dialogue: Pop3Dialogue, messages: Sequence[Numbered], *, pipelined: bool
) -> Iterator[tuple[Listed, bytes | None]]:
    """Fetch header blocks by TOP (RFC 1939, section 7), many under way at once where `pipelined`.

    Yield None for one that is refused or larger than 1 MiB. When the first is refused, the others
    are not asked for, as TOP is optional. The iterator must be read to its end.
    """
    start, count = 0, 1
    while start < len(messages):
        part = messages[start : start + count]
        dialogue.send(*[b"TOP %d 0" % number for number, _ in part])
        for _, listed in part:
            header = _header(dialogue)
            yield listed, header
            if start == 0 and header is None:
                return
        start, count = start + count, _HEADERS_AT_ONCE if pipelined else 1


def _header(dialogue: Pop3Dialogue) -> bytes | None:
    reply = dialogue.reply()
    header = _kept(Body(dialogue.connection, others=dialogue.owed > 1)) if reply.ok else None
    dialogue.owed -= 1
    return header


def _kept(body: Body) -> bytes | None:
    pieces = [piece for piece in body if body.octets <= _LARGEST_HEADER]
    return b"".join(pieces) if body.octets <= _LARGEST_HEADER else None
