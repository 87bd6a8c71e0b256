"""Listing a maildrop: CAPA, LIST and UIDL, and ways around commands that end the connection."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.model.errors import ConnectionFailed, ProtocolViolation, SourceError
from reconciler.sources.listing_columns import Peekable
from reconciler.sources.pop3.maildrop import Maildrop, merged
from reconciler.sources.pop3.maildrop_columns import SizeColumn, UidlColumn
from reconciler.sources.pop3.pop3_dialogue import Capabilities, Pop3Dialogue, Pop3Reply
from reconciler.wire.account_memory import AccountMemory
from reconciler.wire.endpoint import Endpoint

_UIDLS_AT_ONCE = 64
_RELISTINGS = 6
"""Further connections that listing may take."""
_MUTE = 1000
"""Messages without UIDL that are remembered of an account."""


class MaildropLister:
    """Lists a maildrop, over further connections where a command ends the one before. A command
    that ends the connection twice is left out.

    `take_share` is called with the number of messages that are about to be kept.
    """

    def __init__(
        self, endpoint: Endpoint, memory: AccountMemory, take_share: Callable[[int], object]
    ) -> None:
        self._endpoint = endpoint
        self._memory = memory
        self._take_share = take_share
        self.capabilities = Capabilities()
        """What the server offers; the login sets it as well."""
        self.account_state = ""
        """A digest of the reply to UIDL; "" where that does not tell whether mail is new."""
        self._step = b""
        """The command of the listing that is under way."""
        self._failed_at = b""
        """The `_step` at which the connection was lost."""
        self._relistings = 0

    @property
    def pipelined(self) -> bool:
        """Whether commands are sent without waiting for the replies to those before."""
        return "PIPELINING" in self.capabilities and not self._memory.no_pipelining

    @property
    def may_list_again(self) -> bool:
        """Whether listing may take a further connection."""
        return self._relistings < _RELISTINGS

    def connection_lost(self) -> None:
        """Note that the connection was lost while listing, which begins again over another one."""
        if self._failed_at == self._step == b"LIST":
            self._memory.list_breaks = True
        elif self._failed_at == self._step == b"UIDL":
            self._memory.uidl_breaks = True
        self._failed_at = self._step
        self._relistings += 1

    def list_maildrop(self, dialogue: Pop3Dialogue) -> Maildrop:
        """Run CAPA, LIST and UIDL, at once where pipelining was offered before the login."""
        if self._memory.list_breaks or self._memory.uidl_breaks:
            return self._list_around(dialogue)
        sizes, uidls = SizeColumn(self._take_share), UidlColumn()
        pipelined = self.pipelined and not self._failed_at
        if pipelined:
            dialogue.send(b"CAPA", b"LIST", b"UIDL")
        else:
            dialogue.send(b"CAPA")
        self._step = b"CAPA"
        offered = dialogue.capabilities()
        self._step = b"LIST"
        if not pipelined:
            dialogue.send(b"LIST")
        listed, _ = dialogue.lines(sizes.take)
        self._step = b"UIDL"
        if not pipelined:
            dialogue.send(b"UIDL")
        identified, digest = dialogue.lines(uidls.take)
        self.capabilities = offered or self.capabilities
        if not listed.ok and (_says_why(dialogue, listed, "LIST") or not _is_empty(dialogue)):
            return self._unsized(dialogue, listed, sizes, uidls)
        if identified.ok:
            found = merged(sizes, uidls)
            self.account_state = "" if found.notes else digest
            return found
        if _says_why(dialogue, identified, "UIDL"):
            raise self._refused(dialogue, identified, "UIDL")
        offered_here = "UIDL" in self.capabilities
        if not len(sizes) and (offered_here or not self.capabilities.known):
            return Maildrop((), {}, keys_stable=True)  # some refuse to list nothing
        if offered_here:
            raise self._refused(dialogue, identified, "UIDL")
        return merged(sizes, None)

    def _list_around(self, dialogue: Pop3Dialogue) -> Maildrop:
        """List without LIST, whose sizes are only hints, or with UIDL for single messages.

        This is for servers that end the connection at LIST or UIDL of all messages.
        """
        sizes, uidls = SizeColumn(self._take_share), UidlColumn()
        notes: list[str] = []
        self.account_state = ""
        if self._memory.uidl_breaks:
            self._step = b"LIST"
            dialogue.send(b"LIST")
            listed, _ = dialogue.lines(sizes.take)
            if not listed.ok:
                raise self._refused(dialogue, listed, "LIST")
            if left := self._identify(dialogue, sizes, uidls):
                notes.append(
                    f"{left} messages are left alone: the server fails when it is asked for their "
                    "UIDL"
                )
        else:
            self._step = b"UIDL"
            dialogue.send(b"UIDL")
            identified, _ = dialogue.lines(uidls.take)
            if not identified.ok:
                raise self._refused(dialogue, identified, "UIDL")
            return self._without_sizes(sizes, uidls)
        found = merged(sizes, uidls)
        return Maildrop(found.messages, found.numbers, found.keys_stable, (*notes, *found.notes))

    def _unsized(
        self, dialogue: Pop3Dialogue, listed: Pop3Reply, sizes: SizeColumn, uidls: UidlColumn
    ) -> Maildrop:
        """List by UIDL alone after a refused LIST: it may be one message that has no size."""
        if not len(uidls) or _says_why(dialogue, listed, "LIST"):
            raise self._refused(dialogue, listed, "LIST")
        return self._without_sizes(sizes, uidls)

    def _without_sizes(self, sizes: SizeColumn, uidls: UidlColumn) -> Maildrop:
        sizes.number_only(uidls.numbers)
        found = merged(sizes, uidls)
        self.account_state = ""
        note = (
            "the server fails when it is asked for the sizes of messages: they are fetched without"
        )
        return Maildrop(found.messages, found.numbers, found.keys_stable, (note, *found.notes))

    def _identify(self, dialogue: Pop3Dialogue, sizes: SizeColumn, uidls: UidlColumn) -> int:
        """Ask for the UIDL of each message.

        Returns how many were left out because asking for them ended the connection before.
        """
        numbered = Peekable(sizes.ordered())
        left, last = 0, ""
        at_once = _UIDLS_AT_ONCE if self.pipelined and not self._failed_at else 1
        while numbered.next is not None:
            lot: list[tuple[int, int]] = []
            while numbered.next is not None and len(lot) < at_once:
                number, place = numbered.next
                if not lot and (last, sizes.size(place)) in self._memory.without_uidl:
                    left, last = left + 1, f"{last} +"
                    numbered.take()
                    continue
                if lot and self._memory.without_uidl:
                    break  # the UIDL before the next one must be known first
                lot.append(numbered.take())
            if not lot:
                break
            dialogue.send(*[b"UIDL %d" % number for number, _ in lot])
            for number, place in lot:
                self._step = b"UIDL %d" % number
                try:
                    reply = dialogue.answer()
                except (ConnectionFailed, ProtocolViolation):
                    if self._failed_at == self._step and len(self._memory.without_uidl) < _MUTE:
                        self._memory.without_uidl |= {(last, sizes.size(place))}
                    raise
                if reply.ok and reply.rest.split()[:1] == [b"%d" % number]:
                    uidls.take(reply.rest + b"\n")
                    last = uidls.key(len(uidls) - 1)
        return left

    def _refused(self, dialogue: Pop3Dialogue, reply: Pop3Reply, command: str) -> SourceError:
        return dialogue.refusal(reply, f"{command} refused") or ProtocolViolation(
            f"{self._endpoint}: {command} refused: {dialogue.quote(reply)}"
        )


def _says_why(dialogue: Pop3Dialogue, reply: Pop3Reply, command: str) -> bool:
    """Return whether the refusal has a reason that is known."""
    return bool(reply.code) or dialogue.refusal(reply, command) is not None


def _is_empty(dialogue: Pop3Dialogue) -> bool:
    """Return whether the maildrop is empty: some servers refuse to list that."""
    reply = dialogue.command(b"STAT")
    return reply.ok and reply.rest.split()[:1] == [b"0"]
