"""How long and how much: what every conversation with a remote server is held to."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """Seconds and bytes. A server may be slow, but not for ever, and not without end."""

    connect: float = 20.0
    """Name lookup, TCP and the TLS handshake, each."""
    silence: float = 60.0
    """The longest wait for the next byte."""
    command: float = 180.0
    """One command and its reply, bulk data apart."""
    minimum_rate: float = 512.0
    """Bulk data, in octets per second over the whole transfer, beyond `silence`."""
    listing_rate: float = 1.0
    """The same for replies with a line for each message, which some servers take long to make;
    beyond `command`."""
    session: float = 1800.0
    """One session, whatever it does."""
    line: int = 8 << 10
    """The longest line of a reply, bulk data apart."""
    long_line: int = 1 << 20
    """The longest of those that may hold very much: lists of folders, of numbers, of
    capabilities."""
    reply: int = 4 << 20
    """Octets of one command's reply, bulk data apart. Whatever keeps a reply's lines needs several
    times as much."""
    listing: int = 32 << 20
    """The same for replies with a line for each message."""
    maildrop: int = 256 << 20
    """The same for the lists of a maildrop, which are read as they come; enough for more messages
    than there may be."""

    @classmethod
    def patient(cls, silence: float) -> Limits:
        """The usual ones, but for the longest silence."""
        usual = cls()
        return cls(silence=silence, command=max(usual.command, 3 * silence))
