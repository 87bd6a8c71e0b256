"""Frozen values for all floors: messages, outcomes, errors, conditions, the models of manifests,
and the interfaces of the adapters."""
