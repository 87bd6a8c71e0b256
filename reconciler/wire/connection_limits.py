"""The limits of every conversation with a remote server: how long it may take, and how much come.

`Limits` holds the numbers, `Timeouts` how much longer the server may be waited for (hazards L7,
I17, I19, T9). Only the time of waiting for the server counts, not a slow disk on this side. The
session's deadline alone is absolute.
"""

from __future__ import annotations

import time

from msgspec import Struct


class Limits(Struct, frozen=True):
    """The limits of a conversation, in seconds and octets."""

    connect: float = 20.0
    """Each of name lookup, TCP connection and TLS handshake."""
    silence: float = 60.0
    """The longest wait for the next octet."""
    command: float = 180.0
    """Waiting for the whole reply to one command, bulk data apart."""
    minimum_rate: float = 512.0
    """The slowest transfer of bulk data, in octets per second; `silence` comes on top."""
    listing_rate: float = 1.0
    """The same for replies with a line for each message, which some servers take long to make;
    `command` comes on top."""
    session: float = 1800.0
    """One session, whatever it does."""
    line: int = 8 << 10
    """The longest line of a reply, bulk data apart."""
    long_line: int = 1 << 20
    """The longest line that may hold a list: of folders, numbers or capabilities."""
    reply: int = 4 << 20
    """Octets of one command's reply, bulk data apart. Keeping its lines takes several times as
    much memory."""
    listing: int = 32 << 20
    """The same for replies with a line for each message."""
    maildrop: int = 256 << 20
    """The same for the lists of a POP3 maildrop, which are read as they come; enough for more
    messages than are allowed."""

    @classmethod
    def with_silence(cls, silence: float) -> Limits:
        """Return the usual limits with another `silence`, and `command` to match."""
        usual = cls()
        return cls(silence=silence, command=max(usual.command, 3 * silence))


class Timeouts:
    """How long one connection may still be waited for.

    Each wait is bounded by the silence, by the account of the command or of its bulk data, and by
    the session's deadline. An account grows with what the server sends.
    """

    __slots__ = (
        "_began",
        "_bulk_octets",
        "_bulk_waited",
        "_command_octets",
        "_command_waited",
        "_deadline",
        "_limits",
        "_listing",
    )

    def __init__(self, limits: Limits, deadline: float | None) -> None:
        """`deadline` is a time of the monotonic clock; default `limits.session` from now."""
        self._limits = limits
        self._deadline = time.monotonic() + limits.session if deadline is None else deadline
        self._began = 0.0
        self.begin_command()

    def begin_command(self) -> None:
        """Begin the accounts anew."""
        self._command_waited = self._bulk_waited = 0.0
        self._bulk_octets = self._command_octets = 0
        self._listing = False

    def expect_listing(self) -> None:
        """Allow time for a very long reply: its rate counts instead of its whole time."""
        self._listing = True

    def wait(self, *, bulk: bool) -> float:
        """Begin a wait; return how many seconds it may take, 0 or less for none."""
        self._began = time.monotonic()
        return min(self._limits.silence, self._account(bulk=bulk), self._deadline - self._began)

    def within(self, seconds: float) -> float:
        """Return `seconds`, or less where the session ends before."""
        return min(seconds, self._deadline - time.monotonic())

    def waited(self, octets: int, *, bulk: bool) -> None:
        """End a wait in which `octets` came."""
        seconds = time.monotonic() - self._began
        if bulk:
            self._bulk_waited += seconds
            self._bulk_octets += octets
        else:
            self._command_waited += seconds
            self._command_octets += octets

    def exhausted(self, *, bulk: bool) -> str:
        """Return why a wait ended, for an error message."""
        if self._deadline <= time.monotonic():
            return "the session's time is up"
        if self._account(bulk=bulk) > 0 or (bulk and not self._bulk_octets):
            return f"the server sent nothing for {self._limits.silence:.0f} s"
        if bulk:
            return f"the server sends fewer than {self._rate:.0f} octets a second"
        return f"the server did not finish a reply within {self._limits.command:.0f} s"

    def _account(self, *, bulk: bool) -> float:
        """Return the seconds left of the command, or of its bulk data."""
        if bulk:
            return self._limits.silence + self._bulk_octets / self._rate - self._bulk_waited
        gained = self._command_octets / self._rate if self._listing else 0.0
        return self._limits.command + gained - self._command_waited

    @property
    def _rate(self) -> float:
        """The slowest rate allowed, in octets per second."""
        return self._limits.listing_rate if self._listing else self._limits.minimum_rate
