"""Hostile set-ups, one after another, against one daemon that has good collectors too: `python -m
tests.attacks`."""
