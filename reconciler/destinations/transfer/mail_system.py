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
"""The longest SIZE that is taken for a limit. A longer number means none."""
RECIPIENTS = 100
"""In one transaction. Every server takes that many (RFC 5321, section 4.5.3.1.8)."""
T = TypeVar("T")
_ANSWER_ONCE: set[str] = set()
"""LMTP servers that gave one reply for several recipients, against RFC 2033. Until the process ends
they get one recipient in a transaction."""
BROKEN = 3
"""Transactions in a row that ended with the connection, after which the messages are not to
blame."""
SLOW = 60.0
"""Seconds of silence after which a server is not asked to take the next message."""


class TooMany(Deferred, frozen=True):
    """The server takes no more recipients in this transaction (`TransferReply.too_many`)."""


class ConnectionLost(DestinationUnavailable):
    """The connection was lost in a transaction, before the message was sent, and perhaps because of
    it. `after`: seconds from the beginning of the transaction."""

    at_message = True

    def __init__(self, error: SourceError | DestinationUnavailable, after: float) -> None:
        super().__init__(str(error), retry_after=error.retry_after, advice=error.advice)
        self.after = after


class MailSystem:
    """A mail system, for one session and used from its thread. `abort` may come from any thread.

    Connects when that is first needed. The receiver may not recognise a repeated message, so each
    message is a batch of its own.
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
        """Return whether this address can be sent to the server. Raises DestinationUnavailable."""
        return fits(address, utf8=False) or self._conversing(
            lambda dialogue: "SMTPUTF8" in dialogue.extensions
        )

    def exists(self, address: str) -> bool | None:
        """Return whether the mailbox exists; None where the server does not say. Asks once in a session
        (MAIL, RCPT, RSET). Raises DestinationUnavailable."""
        if address not in self._known:
            try:
                self._known[address] = self._conversing(lambda dialogue: _probe(dialogue, address))
            except ConnectionLost as error:
                self._tolerate(error)
                self._known[address] = None
        return self._known[address]

    def check(self) -> str:
        """Connect, and return a sentence about the server. Raises DestinationUnavailable."""
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
        """Say QUIT and close the connection."""
        if self._dialogue is not None:
            self._dialogue.quit()
            self._dialogue = None

    def abort(self) -> None:
        """Break the connection at once, from any thread. The thread that waits in it goes on with an
        error or a `Deferred`."""
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
        """Return each recipient's outcome. Recipients for whom the server has no room in one transaction
        go into the next, as long as each transaction serves somebody."""
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
        """Hand the message over. If the connection is lost with it, put it off, so that others may
        still go."""
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
        """Raise the error where it concerns more than this message: after `BROKEN` in a row, after
        long silence, or when the session is aborted."""
        self._broken += 1
        if self._broken >= BROKEN or self._aborted or error.after > SLOW:
            raise error

    # The connection

    def _conversing(self, talk: Callable[[TransferDialogue], T]) -> T:
        """Call `talk` over the open connection, or a new one.

        A server may have closed a connection that was idle. So what fails over a connection used
        before is tried once more over a new one. Raises ConnectionLost where that is lost too.
        """
        reused = self._dialogue
        if reused is not None and not reused.is_stale():
            try:
                return talk(reused)
            except (*WIRE, DestinationUnavailable, _Spent):
                # Nothing was sent yet that may not be repeated: after a message, `talk` returns
                # outcomes instead of raising.
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
        # Checked after `_dialogue` is set: an `abort` before that has set `_aborted`, a later one
        # finds the dialogue.
        if self._aborted:
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
    """A connection that was used before takes no more messages. A new one may."""


def _require_usable(
    dialogue: TransferDialogue, used: int, replies: Iterable[TransferReply]
) -> None:
    """Raise _Spent where the replies over a used connection may be about the connection alone: MAIL
    was put off, or any reply is 503. Raise DestinationUnavailable for a reply that concerns all
    messages."""
    mail, *others = replies
    if used and (not (mail.done or mail.refused) or any(one.out_of_order for one in others)):
        dialogue.over = True
        raise _Spent
    if reply := next((one for one in (mail, *others) if one.concerns_all), None):
        raise dialogue.unavailable("takes no mail", reply, at_message=True)


def _begun(
    dialogue: TransferDialogue, transaction: Transaction, recipients: Sequence[str]
) -> tuple[TransferReply, list[TransferReply]]:
    """Send MAIL and each RCPT; return their replies.

    A server that offers SMTPUTF8 may still know domains as A-labels only. Dovecot 2.4 answers 501
    to any other form, so that recipient is sent again with A-labels.
    """
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
    """Return each recipient's outcome. Raises only as long as the server cannot have taken the
    message."""
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
    """Return the outcomes where the connection was lost while the message was sent. The server may
    have said why before it closed. That holds for all recipients."""
    reply = dialogue.last_words()
    if reply is None or not (reply.refused or reply.told):
        trouble = f"no answer to the message: {error}"
        return {recipient: Deferred(recipient, trouble, unsure=True) for recipient in accepted}
    return {recipient: reply.outcome(recipient) for recipient in accepted}


def _final(reply: TransferReply, recipient: str) -> DeliveryOutcome:
    """Return the outcome of a reply after the message. Lines that contradict each other leave open
    whether it was taken."""
    return (
        Deferred(recipient, reply.explained, unsure=True)
        if reply.mixed
        else reply.outcome(recipient)
    )


def _objection(dialogue: TransferDialogue, parcel: OutgoingMessage) -> str | None:
    """Return why this server cannot take this message, by its own extensions (hazard D12)."""
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
    """Send the message, and return the outcomes.

    When the connection breaks now, the server may or may not have taken it (hazard D11). Recipients
    without a reply get it again, with the same X-Collector-Id. This raises nothing: the message
    itself may be what breaks the connection, so others are still tried.
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
