"""Frozen values that every floor speaks in: messages, outcomes, errors, conditions, and the
adapters' interfaces."""
