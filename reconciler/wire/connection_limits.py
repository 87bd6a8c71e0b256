"""How long and how much: what every conversation with a remote server is held to."""

from __future__ import annotations

import time

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


class Timeouts:
    """The allowances of one connection: for the next octet, for a command, for bulk data, for the
    session."""

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
        """`deadline` is a time of the monotonic clock; without one the session may take
        `limits.session` from now."""
        self._limits = limits
        self._deadline = time.monotonic() + limits.session if deadline is None else deadline
        self._began = 0.0
        self.begin_command()

    def begin_command(self) -> None:
        self._command_waited = self._bulk_waited = 0.0
        self._bulk_octets = self._command_octets = 0
        self._listing = False

    def expect_listing(self) -> None:
        """The reply may be very long: what moves has time, so a rate counts instead of a sum."""
        self._listing = True

    def wait(self, *, bulk: bool) -> float:
        """How long a wait that begins now may be, in seconds; 0 or less: no longer."""
        self._began = time.monotonic()
        return min(self._limits.silence, self._account(bulk=bulk), self._deadline - self._began)

    def within(self, seconds: float) -> float:
        """`seconds`, or less when the session ends before."""
        return min(seconds, self._deadline - time.monotonic())

    def waited(self, octets: int, *, bulk: bool) -> None:
        """The wait is over; so much came."""
        seconds = time.monotonic() - self._began
        if bulk:
            self._bulk_waited += seconds
            self._bulk_octets += octets
        else:
            self._command_waited += seconds
            self._command_octets += octets

    def exhausted(self, *, bulk: bool) -> str:
        """Why waiting ended."""
        if self._deadline <= time.monotonic():
            return "the session's time is up"
        if self._account(bulk=bulk) > 0 or (bulk and not self._bulk_octets):
            return f"the server sent nothing for {self._limits.silence:.0f} s"
        if bulk:
            return f"the server sends fewer than {self._rate:.0f} octets a second"
        return f"the server did not finish a reply within {self._limits.command:.0f} s"

    def _account(self, *, bulk: bool) -> float:
        if bulk:
            return self._limits.silence + self._bulk_octets / self._rate - self._bulk_waited
        gained = self._command_octets / self._rate if self._listing else 0.0
        return self._limits.command + gained - self._command_waited

    @property
    def _rate(self) -> float:
        """Octets per second."""
        return self._limits.listing_rate if self._listing else self._limits.minimum_rate
