"""POP3 (RFC 1939) with CAPA, STLS, SASL PLAIN, UTF8, response codes and pipelining.

A client of our own, because poplib loses mail: it ends a message at a bare-LF dot, refuses long
lines, and holds messages as lists of lines.
"""

from reconciler.sources.pop3.pop3_source import Pop3Source, open_pop3

__all__ = ["Pop3Source", "open_pop3"]
