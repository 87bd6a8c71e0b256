"""Whom a message is for. Pure: what exists and what the destination can carry is asked through the
parameters."""

from reconciler.collect.routing.detect import Deliverable, own_address, route
from reconciler.collect.routing.mailboxes import Exists

__all__ = ["Deliverable", "Exists", "own_address", "route"]
