"""A mail system as a destination: one connection for a session, one transaction for each
message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import TypeVar

from reconciler.destinations.transfer.envelope import fits, needs_utf8, on_wire, sender_on_wire
from reconciler.destinations.transfer.outgoing_spool import OutgoingMessage, OutgoingSpool
from reconciler.destinations.transfer.transfer_dialogue import (
    WIRE,
    Closing,
    Prepare,
    Transaction,
    TransferDialogue,
)
from reconciler.destinations.transfer.transfer_reply import TransferReply
from reconciler.mail.mail_loops import loops
from reconciler.model.collector_id import collector_key
from reconciler.model.errors import DestinationUnavailable, SourceError
from reconciler.model.messages import DeliveryId
from reconciler.model.outcomes import Deferred, DeliveryOutcome, Refused

_DIGITS = 18
"""Of a number that a server may mean; with more it has no limit."""
RECIPIENTS = 100
"""In one transaction; every server takes so many (RFC 5321, section 4.5.3.1.8)."""
T = TypeVar("T")
_ANSWER_ONCE: set[str] = set()
"""LMTP servers that did not answer for each of several recipients, as RFC 2033 wants it: they get
them one by one from then on, as long as the process lives."""


BROKEN = 3
"""So many transactions in a row that end with the connection: then it is not the messages."""
SLOW = 60.0
"""Seconds. A server that takes longer to say nothing is not asked for the next message."""


class TooMany(Deferred, frozen=True):
    """The server takes no more recipients in this transaction (`TransferReply.too_many`)."""


class ConnectionLost(DestinationUnavailable):
    """The connection was lost in the middle of a transaction, before the message was sent: perhaps
    because of it. `after`: seconds that it took."""

    at_message = True

    def __init__(self, error: SourceError | DestinationUnavailable, after: float) -> None:
        super().__init__(str(error), retry_after=error.retry_after, advice=error.advice)
        self.after = after


class MailSystem:
    """Made for one session and used from its thread; `finish` ends it. `abort` may come from any
    thread.

    Nothing is connected before it is needed. A repeat cannot be recognised here, so messages go one
    by one.
    """

    batch_size = 1

    def __init__(
        self, connect: Callable[[], TransferDialogue], prepare: Prepare = lambda _: None
    ) -> None:
        self._connect = connect
        self._prepare = prepare
        self._dialogue: TransferDialogue | None = None
        self._known: dict[str, bool | None] = {}
        self._aborted = False
        self._broken = 0
        self._endpoint = ""

    # Questions

    def deliverable(self, address: str) -> bool:
        """Whether the server's protocol can carry this address. Raises `DestinationUnavailable`."""
        return fits(address, utf8=False) or self._conversing(
            lambda dialogue: "SMTPUTF8" in dialogue.extensions
        )

    def exists(self, address: str) -> bool | None:
        """Asked once in a session: MAIL, RCPT, RSET. Raises `DestinationUnavailable`."""
        if address not in self._known:
            try:
                self._known[address] = self._conversing(lambda dialogue: _probe(dialogue, address))
            except ConnectionLost as error:
                self._tolerate(error)
                self._known[address] = None
        return self._known[address]

    def check(self) -> str:
        """Greet the server. Raises `DestinationUnavailable`."""
        return self._conversing(
            lambda dialogue: (
                f"{dialogue.connection.endpoint} answers and offers "
                f"{', '.join(sorted(dialogue.extensions)) or 'no extensions'}"
            )
        )

    # Delivery

    def stage(
        self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]
    ) -> OutgoingMessage:
        return OutgoingMessage(message, OutgoingSpool(content), tuple(recipients))

    def commit(
        self, staged: Sequence[OutgoingMessage]
    ) -> Iterator[tuple[OutgoingMessage, tuple[DeliveryOutcome, ...]]]:
        for parcel in staged:
            yield parcel, tuple(self._deliver(parcel))

    def settle(self, staged: Sequence[OutgoingMessage]) -> None:
        for parcel in staged:
            parcel.spool.close()

    def discard(self, staged: Sequence[OutgoingMessage]) -> None:
        self.settle(staged)

    def finish(self) -> None:
        """The session is over: take leave of the server."""
        if self._dialogue is not None:
            self._dialogue.quit()
            self._dialogue = None

    def abort(self) -> None:
        """Break the connection at once, from any thread; whoever waits in it goes on with an error
        or a `Deferred`."""
        self._aborted = True
        dialogue = self._dialogue
        if dialogue is not None:
            dialogue.connection.abort()

    def _deliver(self, parcel: OutgoingMessage) -> Iterator[DeliveryOutcome]:
        loop = loops(
            parcel.spool.head(),
            collector_key(parcel.message.collector, parcel.message.folder.account),
        )
        most = 1 if self._endpoint in _ANSWER_ONCE else RECIPIENTS
        for start in range(0, len(parcel.recipients), most):
            recipients = parcel.recipients[start : start + most]
            if loop:
                yield from (Refused(recipient, loop) for recipient in recipients)
            else:
                yield from self._hand_over(parcel, recipients)

    def _hand_over(
        self, parcel: OutgoingMessage, recipients: Sequence[str]
    ) -> Sequence[DeliveryOutcome]:
        """One transaction: what each recipient's own reply means."""
        utf8 = self._conversing(lambda dialogue: "SMTPUTF8" in dialogue.extensions)
        refused = {
            each: Refused(each, "smtputf8-missing: the destination takes no such local part")
            for each in recipients
            if not fits(each, utf8=utf8)
        }
        wanted = [each for each in recipients if each not in refused]
        outcomes: dict[str, DeliveryOutcome] = {}
        while wanted:
            asked = wanted
            outcomes |= zip(asked, self._transaction(parcel, asked), strict=True)
            put_off = [each for each in asked if isinstance(outcomes[each], TooMany)]
            wanted = put_off if len(put_off) < len(asked) else []  # as long as somebody gets it
        return [refused.get(each) or outcomes[each] for each in recipients]

    def _transaction(
        self, parcel: OutgoingMessage, recipients: Sequence[str]
    ) -> Sequence[DeliveryOutcome]:
        """A message with which the connection is lost is put off: the others may go."""
        try:
            found = self._conversing(lambda dialogue: _transact(dialogue, parcel, recipients))
        except ConnectionLost as error:
            self._tolerate(error)
            return [
                Deferred(recipient, str(error), wait=error.retry_after) for recipient in recipients
            ]
        self._broken = 0
        if self._dialogue is not None and self._dialogue.answers_once:
            _ANSWER_ONCE.add(self._endpoint)
        return found

    def _tolerate(self, error: ConnectionLost) -> None:
        """Raises it where it is everybody's: it was not the first one, or somebody ends this
        session."""
        self._broken += 1
        if self._broken >= BROKEN or self._aborted or error.after > SLOW:
            raise error

    # The connection

    def _conversing(self, talk: Callable[[TransferDialogue], T]) -> T:
        """Talk over the connection that is there, or a new one; over a new one once more when the
        server had left. Raises `ConnectionLost` where the new one is lost too."""
        reused = self._dialogue
        if reused is not None and not reused.is_stale():
            try:
                return talk(reused)
            except (*WIRE, DestinationUnavailable, _Spent):
                # it went away while nobody talked: an outcome is given as such once a message was
                # sent
                pass
            self._drop()
        dialogue, began = self._opened(), monotonic()
        try:
            return talk(dialogue)
        except (*WIRE, Closing) as error:
            self._drop()
            raise ConnectionLost(error, monotonic() - began) from error
        except DestinationUnavailable:
            self._drop()
            raise

    def _opened(self) -> TransferDialogue:
        self._drop()
        self._dialogue = self._connect()
        if self._aborted:  # asked for after the dialogue is there: `abort` sees either of the two
            raise DestinationUnavailable("the delivery was aborted")
        try:
            self._dialogue.open(self._prepare)
        except WIRE as error:
            self._drop()
            raise DestinationUnavailable(str(error)) from error
        except DestinationUnavailable:
            self._drop()
            raise
        self._endpoint = str(self._dialogue.connection.endpoint)
        return self._dialogue

    def _drop(self) -> None:
        dialogue, self._dialogue = self._dialogue, None
        if dialogue is not None:
            dialogue.connection.abort()


class _Spent(Exception):
    """A connection that has served before takes no more: what it says now it may not say over a new
    one."""


def _require_usable(
    dialogue: TransferDialogue, used: int, replies: Iterable[TransferReply]
) -> None:
    """Raises _Spent for what may only be about the connection: anything but yes to MAIL, and 503 to
    anything; and `DestinationUnavailable` for what concerns everybody."""
    mail, *others = replies
    if used and (not (mail.done or mail.refused) or any(one.out_of_order for one in others)):
        dialogue.over = True
        raise _Spent
    if reply := next((one for one in (mail, *others) if one.concerns_all), None):
        raise dialogue.unavailable("takes no mail", reply, at_message=True)


def _begun(
    dialogue: TransferDialogue, transaction: Transaction, recipients: Sequence[str]
) -> tuple[TransferReply, list[TransferReply]]:
    """The replies to MAIL and to each recipient. Who offers SMTPUTF8 may still know domains as
    A-labels alone: Dovecot 2.4 answers 501 to any other, and takes the same recipient that way."""
    mail, replies = dialogue.begin(transaction)
    for number, (recipient, sent) in enumerate(
        zip(recipients, transaction.recipients, strict=True)
    ):
        other = on_wire(recipient, utf8=False)
        if mail.done and replies[number].code == 501 and other != sent:
            replies[number] = dialogue.recipient(other)
    return mail, replies


def _probe(dialogue: TransferDialogue, address: str) -> bool | None:
    utf8 = "SMTPUTF8" in dialogue.extensions
    if not fits(address, utf8=utf8):
        return None
    parameters = " SMTPUTF8" if utf8 and needs_utf8([address]) else ""
    used = dialogue.transactions
    mail, (reply,) = _begun(
        dialogue, Transaction("", parameters, [on_wire(address, utf8=utf8)]), [address]
    )
    _require_usable(dialogue, used, [mail, reply])
    dialogue.reset()
    if reply.done:
        return True
    return False if reply.unknown_mailbox else None


def _transact(
    dialogue: TransferDialogue, parcel: OutgoingMessage, recipients: Sequence[str]
) -> list[DeliveryOutcome]:
    """Raises only as long as the message cannot have been taken."""
    objection = _objection(dialogue, parcel)
    if objection:
        return [Refused(recipient, objection) for recipient in recipients]
    used = dialogue.transactions
    mail, replies = _begun(dialogue, _transaction(dialogue, parcel, recipients), recipients)
    _require_usable(dialogue, used, [mail, *replies])
    accepted = [
        recipient
        for recipient, reply in zip(recipients, replies, strict=True)
        if mail.done and reply.done
    ]
    data = dialogue.data() if accepted else None
    if data is not None:
        _require_usable(dialogue, used, [mail, data])
    if data is None or data.code != 354 or data.mixed:
        dialogue.reset()
        final = {recipient: data for recipient in accepted if data is not None}
        return [
            _outcome(final.get(each, reply), each)
            for each, reply in zip(recipients, replies, strict=True)
        ]
    outcomes = _send(dialogue, parcel, accepted)
    outcomes |= {
        recipient: TooMany(recipient, reply.explained)
        if reply.too_many
        else _outcome(reply, recipient)
        for recipient, reply in zip(recipients, replies, strict=True)
        if recipient not in outcomes
    }
    return [outcomes[recipient] for recipient in recipients]


def _outcome(reply: TransferReply, recipient: str) -> DeliveryOutcome:
    if reply.done:  # a 2xx where 354 was due
        return Deferred(recipient, f"an answer out of place: {reply}")
    return reply.outcome(recipient)


def _cut_off(
    dialogue: TransferDialogue, accepted: Sequence[str], error: SourceError
) -> dict[str, DeliveryOutcome]:
    """The connection was lost within the message. A server that wants no more of it may have said
    why before it closed: that holds for everybody."""
    reply = dialogue.last_words()
    if reply is None or not (reply.refused or reply.told):
        trouble = f"no answer to the message: {error}"
        return {recipient: Deferred(recipient, trouble, unsure=True) for recipient in accepted}
    return {recipient: reply.outcome(recipient) for recipient in accepted}


def _final(reply: TransferReply, recipient: str) -> DeliveryOutcome:
    """After the message, where lines that contradict each other leave open whether it was taken."""
    return (
        Deferred(recipient, reply.explained, unsure=True)
        if reply.mixed
        else reply.outcome(recipient)
    )


def _objection(dialogue: TransferDialogue, parcel: OutgoingMessage) -> str | None:
    """Why this server cannot take this message, as it says itself (hazard D12)."""
    if parcel.spool.eight_bit and "8BITMIME" not in dialogue.extensions:
        return "8bitmime-missing: the message has 8-bit octets and the destination takes none"
    limit = dialogue.extensions.get("SIZE", "").strip()
    if (
        limit.isascii()
        and limit.isdecimal()
        and len(limit) <= _DIGITS
        and 0 < int(limit) < parcel.size
    ):
        return f"too-large: the message has {parcel.size} octets, the destination takes {limit}"
    return None


def _transaction(
    dialogue: TransferDialogue, parcel: OutgoingMessage, recipients: Sequence[str]
) -> Transaction:
    utf8 = "SMTPUTF8" in dialogue.extensions
    sender = sender_on_wire(parcel.sender, utf8=utf8)
    parameters = f" SIZE={parcel.size}" if "SIZE" in dialogue.extensions else ""
    if parcel.spool.eight_bit:
        parameters += " BODY=8BITMIME"
    if utf8 and needs_utf8([sender, *recipients]):
        parameters += " SMTPUTF8"
    return Transaction(
        sender, parameters, [on_wire(recipient, utf8=utf8) for recipient in recipients]
    )


def _send(
    dialogue: TransferDialogue, parcel: OutgoingMessage, accepted: Sequence[str]
) -> dict[str, DeliveryOutcome]:
    """The message itself. When the connection breaks now, the server may or may not have taken it
    (D11): whoever has no answer gets it again, under the same id. Nor is it the others' business:
    it may be this very message that breaks it.
    """
    outcomes: dict[str, DeliveryOutcome] = {}
    trouble = ""
    try:
        dialogue.send(parcel.spool.sent(parcel.header))
    except WIRE as error:
        return _cut_off(dialogue, accepted, error)
    try:
        for number, reply in enumerate(dialogue.replies(len(accepted))):
            named = accepted[number : number + 1] if dialogue.protocol.each else accepted
            outcomes |= {recipient: _final(reply, recipient) for recipient in named}
    except WIRE as error:
        dialogue.over = True
        dialogue.answers_once = bool(outcomes) and not dialogue.connection.ended
        trouble = f"no answer to the message: {error}"
    return {
        recipient: outcomes.get(recipient) or Deferred(recipient, trouble, unsure=True)
        for recipient in accepted
    }
