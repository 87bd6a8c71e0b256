"""Whom a message is for. Pure: functions passed as parameters answer which mailboxes exist and
which addresses the destination can carry."""

from reconciler.collect.routing.local_mailboxes import Exists
from reconciler.collect.routing.recipient_detection import Deliverable, own_address, route

__all__ = ["Deliverable", "Exists", "own_address", "route"]
