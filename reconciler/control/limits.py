"""How much a host is asked to bear: sessions at once, and logins in a minute.

What the big providers publish are limits of one account. What they allow one address is not published, so these
presets are cautious guesses of ours; the options `--host-connections` and `--host-logins-per-minute` replace them.

| provider | published, connections of one account at once |
|---|---|
| Gmail | 15: support.google.com/mail/answer/7126229 |
| Microsoft 365, Outlook.com | 20 by IMAP, 20 by POP3: "Exchange Online throttling and limits FAQ", blogs.msdn.com/b/exchangedev |
| Yahoo, AOL, iCloud, Yandex, Mail.ru | nothing; refusals of clients with more than a few are widely reported |
"""  # noqa: E501  # a table

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.manifests.domains import host_to_ascii


class HostLimits(Struct, frozen=True):
    """`connections`: sessions at once. `logins`: in any minute, None for no limit; they are spaced evenly."""

    connections: int = 8
    logins: int | None = None

    @property
    def spacing(self) -> float:
        """Seconds between the beginnings of two sessions."""
        return 60.0 / self.logins if self.logins else 0.0


ELSEWHERE = HostLimits()
_GENEROUS, _MODERATE, _STRICT = HostLimits(10, 120), HostLimits(10, 60), HostLimits(5, 30)
_PRESETS = {
    "gmail.com": _GENEROUS, "googlemail.com": _GENEROUS,
    "office365.com": _GENEROUS, "outlook.com": _GENEROUS, "hotmail.com": _GENEROUS, "live.com": _GENEROUS,
    "yandex.ru": _MODERATE, "yandex.com": _MODERATE, "yandex.net": _MODERATE, "mail.ru": _MODERATE,
    "yahoo.com": _STRICT, "yahoo.co.jp": _STRICT, "aol.com": _STRICT, "me.com": _STRICT, "icloud.com": _STRICT,
}
"""By the domain that the provider's hosts end in."""
LimitsOf = Callable[[str], HostLimits]
"""From a host, as `canonical` has it, to what it is asked to bear."""


def canonical(host: str) -> str:
    """The name under which all spellings of a host are one: A-labels, or the address; as it is where it is neither."""
    try:
        return host_to_ascii(host)
    except ValueError:
        return host.lower()


def preset(host: str) -> HostLimits:
    """What is known of this host, `canonical`, from the domains it is in."""
    domain = host
    while domain:
        if domain in _PRESETS:
            return _PRESETS[domain]
        domain = domain.partition(".")[2]
    return ELSEWHERE


def limits(connections: int | None, logins_per_minute: int | None) -> LimitsOf:
    """The presets, but for what was asked for."""
    def limits_of(host: str) -> HostLimits:
        known = preset(host)
        return HostLimits(connections or known.connections, logins_per_minute or known.logins)

    return limits_of
