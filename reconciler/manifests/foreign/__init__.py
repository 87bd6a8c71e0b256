"""Configurations of other tools as manifests: what they say, what of it has no counterpart here,
and their secrets."""
