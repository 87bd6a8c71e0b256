"""IMAP4rev1 (RFC 3501) as a source.

IMAPClient speaks over our own connection, which limits every octet.
"""

from reconciler.sources.imap.imap_source import ImapSource, open_imap

__all__ = ["ImapSource", "open_imap"]
