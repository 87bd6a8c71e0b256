"""Choose the recipients of a message. Pure: functions passed as parameters answer which mailboxes
exist and which addresses the destination can carry."""

from reconciler.collect.routing.mailbox_lookup import Exists
from reconciler.collect.routing.recipient_choice import Deliverable, own_address, route

__all__ = ["Deliverable", "Exists", "own_address", "route"]
