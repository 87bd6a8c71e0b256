"""Whom a message is for. Pure: what exists and what the destination can carry is asked through the
parameters."""

from reconciler.collect.routing.local_mailboxes import Exists
from reconciler.collect.routing.recipient_detection import Deliverable, own_address, route

__all__ = ["Deliverable", "Exists", "own_address", "route"]
