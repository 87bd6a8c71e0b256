"""Collecting: one session over one account, when the next one is due, and whom each message is
for."""
