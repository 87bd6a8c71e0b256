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
from reconciler.sources.pop3.multiline_body import MultilineBody
from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue, Pop3Reply

Numbered = tuple[int, Listed]
Doubts = Callable[[Listed, str], None]
"""Called with each message that was read to its end, and why it may not be whole ("": it is)."""

WINDOW_COUNT = 64
"""Commands under way at once."""
WINDOW_OCTETS = 4 << 20
"""Octets of messages under way at once, unless one alone is larger."""
_UNKNOWN_SIZE = 64 << 10
"""The size that a message of unknown size counts for."""
_UNCOUNTED = 5
"""Octets of the last line end and of the final dot's line, which some servers count."""
_OCTETS = re.compile(rb"(\d{1,10}) octets", re.IGNORECASE)
_REPLIES = (b"+OK", b"-ERR", b"+ERR")
_STATUS_OCTETS = 3
_END = b".\r\n"
_EMPTY = "the server sent nothing, although it announced a size"
_GONE = re.compile(rb"no such message|deleted|expunged|does(?: not|n't) exist", re.IGNORECASE)


_HEADERS_AT_ONCE = 200
_LARGEST_HEADER = 1 << 20


class Retrieval:
    """Fetches messages by RETR; iterate it once.

    The outcomes come in the order of `messages`, with at most `count` commands under way. The rest
    of a message that its reader does not read to the end is skipped.
    """

    def __init__(
        self, dialogue: Pop3Dialogue, messages: Iterable[Numbered], count: int, retrieved: Doubts
    ) -> None:
        self._dialogue = dialogue
        numbered = list(messages)
        self._first = next((listed.key for number, listed in numbered if number == 1), None)
        self._window = _Window(dialogue, numbered, count)
        self._retrieved = retrieved
        self._body: MultilineBody | None = None

    @property
    def suspects(self) -> Sequence[Listed]:
        """Messages that may have ended the connection; see `Source.suspects`.

        Replies come in the order of the commands, so it is the message that was being read. Where
        a message has ended and no reply follows, it is the next message, or that end was false.
        """
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
            body = self._body = MultilineBody(dialogue.connection, others=dialogue.owed > 1)
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
        """Return whether the reply that is being read has no body."""
        connection = self._dialogue.connection
        while connection.buffered() < len(_END):
            connection.fill(bulk=True)
        return connection.peek(0, len(_END)) == _END

    def _may_be_internal(self, listed: Listed) -> bool:
        """Return whether the first message may be the mailbox's own record."""
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
    """Sends RETR ahead of the replies, and yields the messages in the order of the replies.

    The commands under way are few and short. So they never fill the server's input while its
    output waits for us, which would block both sides.
    """

    def __init__(self, dialogue: Pop3Dialogue, messages: Iterable[Numbered], count: int) -> None:
        self._dialogue = dialogue
        self._waiting = deque(messages)
        self._asked: deque[Listed] = deque()
        self._current: Listed | None = None
        self._count = count
        self._octets = 0

    def first(self, ended: bool) -> list[Listed]:
        """Return the message whose reply is being read or due.

        `ended`: its body was read, so the message after it comes first.
        """
        due = list(self._asked)[:1]
        if self._current is None:
            return due
        return [*due, self._current] if ended else [self._current]

    def __iter__(self) -> Iterator[Listed]:
        while self._waiting or self._asked:
            # Refilled when half empty, so that one packet has the commands for many messages.
            if len(self._asked) <= self._count // 2:
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
    """One message that is being read, and whether it seems to be whole."""

    __slots__ = ("_body", "_dialogue", "_doubt", "_listed", "_reply", "_retrieved")

    def __init__(
        self,
        dialogue: Pop3Dialogue,
        body: MultilineBody,
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
        """Check that a reply, or nothing, follows the message.

        Otherwise a dot of the message itself was taken for its end (hazard P7): raises
        ProtocolViolation.
        """
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
        """Wait for the reply that follows the first of several messages under way.

        A server that does not understand pipelining mixes up its replies; then this message may
        contain a part of the next one.
        """
        dialogue = self._dialogue
        # This message has come; the next read meets the failure again.
        with suppress(ConnectionFailed):
            while dialogue.connection.buffered() < _STATUS_OCTETS:
                dialogue.connection.fill(bulk=True)
            dialogue.in_order = True

    def doubt(self) -> str:
        return self._doubt

    def _judge(self) -> str:
        """Return why the message may not be whole, "" for no reason.

        Sizes are hints (hazard P13): servers differ in how they count line ends, doubled dots and
        the end. More octets than announced do no harm. Where fewer octets came than any
        announcement says, something may be missing. If a quarter of the size in LIST is missing,
        the server may have sent an error text instead of the message. If a server's LIST is always
        that much too large, all messages stay on the server. Each is delivered once, and the
        sessions say so.
        """
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
    header = (
        _kept(MultilineBody(dialogue.connection, others=dialogue.owed > 1)) if reply.ok else None
    )
    dialogue.owed -= 1
    return header


def _kept(body: MultilineBody) -> bytes | None:
    pieces = [piece for piece in body if body.octets <= _LARGEST_HEADER]
    return b"".join(pieces) if body.octets <= _LARGEST_HEADER else None
