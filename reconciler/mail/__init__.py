"""Header fields, addresses and loops in a message's octets.

The functions are pure and accept any octets without raising.
"""
