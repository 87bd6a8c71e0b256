"""A mail system as a destination: one connection in a session, one transaction for each message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import TypeVar

from reconciler.destinations.transfer.envelope import can_be_sent
from reconciler.destinations.transfer.mail_transaction import (
    ConnectionSpent,
    TooManyRecipients,
    probe,
    transact,
)
from reconciler.destinations.transfer.outgoing_spool import OutgoingMessage, OutgoingSpool
from reconciler.destinations.transfer.transfer_dialogue import (
    WIRE,
    Prepare,
    ServerCloses,
    TransferDialogue,
)
from reconciler.mail.mail_loops import loop_reason
from reconciler.model.collector_id import collector_key
from reconciler.model.errors import DestinationUnavailable, SourceError
from reconciler.model.messages import DeliveryId
from reconciler.model.outcomes import Deferred, DeliveryOutcome, Refused

RECIPIENTS = 100
"""Recipients in one transaction. Every server takes that many (RFC 5321, section 4.5.3.1.8)."""
T = TypeVar("T")
_ANSWER_ONCE: set[str] = set()
"""LMTP servers that sent one reply for several recipients, against RFC 2033. Until the process ends
they get one recipient in a transaction."""
BROKEN = 3
"""Transactions in a row in which the connection was lost, after which the messages are not the
cause."""
SLOW = 60.0
"""Seconds after which a transaction that loses the connection ends the session."""


class ConnectionLost(DestinationUnavailable):
    """The connection was lost in a transaction, before the message was sent. The message may be the
    cause."""

    at_message = True

    def __init__(self, error: SourceError | DestinationUnavailable, after: float) -> None:
        """`after`: seconds since the beginning of the transaction."""
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
        return can_be_sent(address, utf8=False) or self._conversing(
            lambda dialogue: "SMTPUTF8" in dialogue.extensions
        )

    def exists(self, address: str) -> bool | None:
        """Return whether the mailbox exists; None where the server does not say. Asks once in a
        session (MAIL, RCPT, RSET). Raises DestinationUnavailable."""
        if address not in self._known:
            try:
                self._known[address] = self._conversing(lambda dialogue: probe(dialogue, address))
            except ConnectionLost as error:
                self._tolerate(error)
                self._known[address] = None
        return self._known[address]

    def check(self) -> str:
        """Connect, and return a sentence about the server. Raises DestinationUnavailable."""
        return self._conversing(
            lambda dialogue: (
                f"{dialogue.connection.endpoint} answers and offers "
                f"{dialogue.shown_extensions() or 'no extensions'}"
            )
        )

    # Delivery

    def stage(
        self, message: DeliveryId, content: Iterable[bytes], recipients: Sequence[str]
    ) -> OutgoingMessage:
        """Read the message into a spool. Raises DestinationUnavailable."""
        return OutgoingMessage(message, OutgoingSpool(content), tuple(recipients))

    def commit(
        self, staged: Sequence[OutgoingMessage]
    ) -> Iterator[tuple[OutgoingMessage, tuple[DeliveryOutcome, ...]]]:
        """Deliver each message; yield it with its recipients' outcomes, in order. Raises
        DestinationUnavailable."""
        for parcel in staged:
            yield parcel, tuple(self._deliver(parcel))

    def settle(self, staged: Sequence[OutgoingMessage]) -> None:
        """Delete the content of messages that were recorded."""
        for parcel in staged:
            parcel.spool.close()

    def discard(self, staged: Sequence[OutgoingMessage]) -> None:
        """Delete the content of messages that are given up."""
        self.settle(staged)

    def finish(self) -> None:
        """Say QUIT and close the connection."""
        if self._dialogue is not None:
            self._dialogue.quit()
            self._dialogue = None

    def abort(self) -> None:
        """Break the connection at once. A thread that waits for the server gets an error or a
        Deferred."""
        self._aborted = True
        dialogue = self._dialogue
        if dialogue is not None:
            dialogue.connection.abort()

    def _deliver(self, parcel: OutgoingMessage) -> Iterator[DeliveryOutcome]:
        loop = loop_reason(
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
        """Return each recipient's outcome. If the server takes no more recipients in one
        transaction, the others go into the next, as long as each transaction serves at least
        one."""
        utf8 = self._conversing(lambda dialogue: "SMTPUTF8" in dialogue.extensions)
        refused = {
            each: Refused(each, "smtputf8-missing: the destination takes no such local part")
            for each in recipients
            if not can_be_sent(each, utf8=utf8)
        }
        wanted = [each for each in recipients if each not in refused]
        outcomes: dict[str, DeliveryOutcome] = {}
        while wanted:
            asked = wanted
            outcomes |= zip(asked, self._transaction(parcel, asked), strict=True)
            put_off = [each for each in asked if isinstance(outcomes[each], TooManyRecipients)]
            wanted = put_off if len(put_off) < len(asked) else []
        return [refused.get(each) or outcomes[each] for each in recipients]

    def _transaction(
        self, parcel: OutgoingMessage, recipients: Sequence[str]
    ) -> Sequence[DeliveryOutcome]:
        """Hand the message over. If the connection is lost with it, put it off, so that other
        messages are still delivered."""
        try:
            found = self._conversing(lambda dialogue: transact(dialogue, parcel, recipients))
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
        """Raise the error if it concerns more than this message: after `BROKEN` errors in a row,
        after long silence, or if the session is aborted."""
        self._broken += 1
        if self._broken >= BROKEN or self._aborted or error.after > SLOW:
            raise error

    # The connection

    def _conversing(self, talk: Callable[[TransferDialogue], T]) -> T:
        """Call `talk` over the open connection, or a new one.

        The server may have closed a connection that was idle. So what fails over a connection that
        was used before is tried once more over a new one. Raises ConnectionLost where that is lost
        too.
        """
        reused = self._dialogue
        if reused is not None and not reused.is_stale():
            try:
                return talk(reused)
            except (*WIRE, DestinationUnavailable, ConnectionSpent):
                # Nothing was sent that must not be repeated: once a message was sent, `talk`
                # returns outcomes instead of raising.
                pass
            self._drop()
        dialogue, began = self._opened(), monotonic()
        try:
            return talk(dialogue)
        except (*WIRE, ServerCloses) as error:
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
