"""One transaction with a mail system: it asks for a mailbox, or delivers a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.destinations.transfer.envelope import (
    can_be_sent,
    needs_utf8,
    on_wire,
    sender_on_wire,
)
from reconciler.destinations.transfer.outgoing_spool import OutgoingMessage
from reconciler.destinations.transfer.transfer_dialogue import WIRE, Transaction, TransferDialogue
from reconciler.destinations.transfer.transfer_reply import TransferReply
from reconciler.model.errors import SourceError
from reconciler.model.outcomes import Deferred, DeliveryOutcome, Refused

_DIGITS = 18
"""Digits of the longest SIZE that counts as a limit. A longer number means that there is none."""


class TooManyRecipients(Deferred, frozen=True):
    """The server takes no more recipients in this transaction (`TransferReply.too_many`)."""


class ConnectionSpent(Exception):
    """The connection was used before and takes no more messages. A new one may."""


def probe(dialogue: TransferDialogue, address: str) -> bool | None:
    """Return whether the mailbox exists; None where the server does not say. Raises
    ConnectionSpent, DestinationUnavailable, and errors of `WIRE`."""
    utf8 = "SMTPUTF8" in dialogue.extensions
    if not can_be_sent(address, utf8=utf8):
        return None
    parameters = " SMTPUTF8" if utf8 and needs_utf8([address]) else ""
    used = dialogue.transactions
    mail, (reply,) = _begun(
        dialogue, Transaction("", parameters, [on_wire(address, utf8=utf8)]), [address]
    )
    _require_usable(dialogue, used, [mail, reply])
    dialogue.reset()
    if reply.succeeded:
        return True
    return False if reply.unknown_mailbox else None


def transact(
    dialogue: TransferDialogue, parcel: OutgoingMessage, recipients: Sequence[str]
) -> list[DeliveryOutcome]:
    """Deliver the message; return each recipient's outcome. Raises what `probe` does, but only as
    long as the server cannot have taken the message."""
    objection = _objection(dialogue, parcel)
    if objection:
        return [Refused(recipient, objection) for recipient in recipients]
    used = dialogue.transactions
    mail, replies = _begun(dialogue, _transaction(dialogue, parcel, recipients), recipients)
    _require_usable(dialogue, used, [mail, *replies])
    accepted = [
        recipient
        for recipient, reply in zip(recipients, replies, strict=True)
        if mail.succeeded and reply.succeeded
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
        recipient: TooManyRecipients(recipient, reply.explained)
        if reply.too_many
        else _outcome(reply, recipient)
        for recipient, reply in zip(recipients, replies, strict=True)
        if recipient not in outcomes
    }
    return [outcomes[recipient] for recipient in recipients]


def _objection(dialogue: TransferDialogue, parcel: OutgoingMessage) -> str | None:
    """Return why this server cannot take this message, according to its extensions (hazard D12);
    None where it can."""
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
        if mail.succeeded and replies[number].code == 501 and other != sent:
            replies[number] = dialogue.recipient(other)
    return mail, replies


def _require_usable(
    dialogue: TransferDialogue, used: int, replies: Iterable[TransferReply]
) -> None:
    """Check that the replies before a message are about this message.

    Raises ConnectionSpent where they may be about a connection that was used before: MAIL was put
    off, or a reply is 503. Raises DestinationUnavailable for a reply that concerns all messages.
    """
    mail, *others = replies
    if used and (not (mail.succeeded or mail.refused) or any(one.out_of_order for one in others)):
        dialogue.over = True
        raise ConnectionSpent
    if reply := next((one for one in (mail, *others) if one.concerns_all), None):
        raise dialogue.unavailable("takes no mail", reply, at_message=True)


def _outcome(reply: TransferReply, recipient: str) -> DeliveryOutcome:
    """Return the outcome of a reply before the message."""
    if reply.succeeded:  # 2xx where 354 was expected
        return Deferred(recipient, f"an answer out of place: {reply}")
    return reply.outcome(recipient)


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


def _cut_off(
    dialogue: TransferDialogue, accepted: Sequence[str], error: SourceError
) -> dict[str, DeliveryOutcome]:
    """Return the outcomes where the connection was lost while the message was sent. The server may
    have sent the reason before it closed. That holds for all recipients."""
    reply = dialogue.final_reply()
    if reply is None or not (reply.refused or reply.meaning):
        trouble = f"no answer to the message: {error}"
        return {recipient: Deferred(recipient, trouble, unsure=True) for recipient in accepted}
    return {recipient: reply.outcome(recipient) for recipient in accepted}


def _final(reply: TransferReply, recipient: str) -> DeliveryOutcome:
    """Return the outcome of a reply after the message. A mixed reply leaves open whether it was
    taken."""
    return (
        Deferred(recipient, reply.explained, unsure=True)
        if reply.mixed
        else reply.outcome(recipient)
    )
