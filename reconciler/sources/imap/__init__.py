"""IMAP4rev1 (RFC 3501) as a source: IMAPClient's dialogue on our own connection, so that every
octet is bounded."""

from reconciler.sources.imap.imap_source import ImapSource, open_imap

__all__ = ["ImapSource", "open_imap"]
