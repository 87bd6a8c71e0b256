"""POP3 (RFC 1939) with CAPA, STLS, SASL, UTF8, response codes and pipelining.

It does not use poplib, which loses mail: poplib ends a message at a dot behind a bare LF, refuses
long lines, and keeps messages as lists of lines.
"""

from reconciler.sources.pop3.pop3_source import Pop3Source, open_pop3

__all__ = ["Pop3Source", "open_pop3"]
