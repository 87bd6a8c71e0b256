"""The meaning of SMTP and LMTP replies that refuse a message.

The enhanced status code is read first (RFC 3463 and the registry of RFC 5248), then the words, in
any language. Words are compared as in `replies.sourced_replies`. A code with one meaning is
believed; a general one (x.0.0, x.2.0, x.7.1 and the like) is explained by the words.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum

from msgspec import Struct


class Obstacle(Enum):
    """The reason why mail is refused. The value is the sentence for the administrator."""

    GREYLISTED = (
        "The server takes mail from somebody new at a later attempt (greylisting): it is tried "
        "again."
    )
    RATE = (
        "The server takes less mail at a time than it was given: it goes on by itself; a lower "
        "collect.limit helps."
    )
    CONNECTIONS = "The server has too many connections: it goes on by itself."
    LATER = "It is tried again by itself."
    DISK_FULL = "The mail system has no room left on its own disk."
    OVER_QUOTA = "The mailbox is full: delete mail there, or give it a larger quota."
    TOO_LARGE = (
        "The destination takes no message so large: raise its limit, or lower "
        "collect.maxMessageSize."
    )
    SPAM = (
        "The destination takes it for spam or for dangerous: let its filter pass what this "
        "machine delivers."
    )
    POLICY = (
        "The destination's rules refuse the message: exempt this machine from checks of the "
        "sender (SPF, DKIM, DMARC), for collected mail comes from other people's addresses."
    )
    RELAYING = (
        "The destination takes no mail for this domain from here: add the domain to those that it "
        "is responsible for, or correct the address."
    )
    AUTH_WANTED = (
        "The destination wants a login: set smtp.username and smtp.password, or let this machine "
        "deliver without one."
    )
    TLS_WANTED = "The destination wants TLS: set smtp.tls to starttls or implicit."
    BLOCKED = "The destination refuses this machine by its address: allow it there."
    DISABLED = "The mailbox is switched off or takes no mail."
    SENDER = (
        "The destination refuses the sender's address: exempt this machine from checks of the "
        "sender."
    )
    CONTENT = "The destination cannot take what is in the message."
    LOOP = "The message has gone through too many servers."
    TOO_MANY = "The server takes fewer recipients at a time."
    NO_MAILBOX = "There is no such mailbox at the destination."


PASSING = {Obstacle.GREYLISTED, Obstacle.RATE, Obstacle.CONNECTIONS, Obstacle.LATER}
"""Obstacles that end by themselves, although a server says 5xx."""
OF_ALL = {Obstacle.AUTH_WANTED, Obstacle.TLS_WANTED, Obstacle.BLOCKED}
"""Obstacles that concern neither the message nor the recipient."""


class RefusedDelivery(Struct, frozen=True):
    """The meaning of a reply that refuses a message or puts it off."""

    obstacle: Obstacle
    wait: float | None = None
    """Seconds that the server asks to wait."""


_SUBJECTS: tuple[tuple[str, Obstacle], ...] = (
    ("1.7", Obstacle.SENDER),
    ("1.8", Obstacle.SENDER),
    ("1.", Obstacle.NO_MAILBOX),
    ("2.1", Obstacle.DISABLED),
    ("2.2", Obstacle.OVER_QUOTA),
    ("2.3", Obstacle.TOO_LARGE),
    ("2.4", Obstacle.NO_MAILBOX),
    ("3.1", Obstacle.DISK_FULL),
    ("3.2", Obstacle.LATER),
    ("3.4", Obstacle.TOO_LARGE),
    ("4.5", Obstacle.CONNECTIONS),
    ("4.6", Obstacle.LOOP),
    ("5.3", Obstacle.TOO_MANY),
    ("6.", Obstacle.CONTENT),
    ("7.8", Obstacle.AUTH_WANTED),
    ("7.9", Obstacle.AUTH_WANTED),
    ("7.10", Obstacle.TLS_WANTED),
    ("7.11", Obstacle.TLS_WANTED),
    ("7.13", Obstacle.DISABLED),
    ("7.17", Obstacle.NO_MAILBOX),
    *((f"7.{detail}", Obstacle.POLICY) for detail in range(20, 25)),
    ("7.25", Obstacle.BLOCKED),
    ("7.26", Obstacle.POLICY),
    ("7.27", Obstacle.SENDER),
    ("7.28", Obstacle.RATE),
)
"""Subject and detail of an enhanced code → its meaning. A key that ends with a dot is a whole
subject."""
_CODES = {
    530: Obstacle.AUTH_WANTED,
    534: Obstacle.AUTH_WANTED,
    535: Obstacle.AUTH_WANTED,
    538: Obstacle.TLS_WANTED,
    523: Obstacle.TOO_LARGE,
}
"""Reply codes with one meaning (RFC 4954, section 6), for replies whose words are unknown."""

_WORDS: dict[Obstacle, str] = {
    Obstacle.GREYLISTED: (
        "greylist|graylist|grey list|gray list|серый список|серые списки|серых списках|"
        "сером списке|灰名单|liste grise|listas grises|graue liste"
    ),
    Obstacle.SENDER: (
        "sender address|sender verify failed|sender verification|sender rejected|sender denied|"
        "domain of sender|bad sender|callback setup failed|callout verification failed|return path"
    ),
    Obstacle.RELAYING: "relay|пересылка запрещена",
    Obstacle.TLS_WANTED: "starttls|encryption required|tls required|tls is required",
    Obstacle.AUTH_WANTED: (
        "authentication required|authentication is required|must authenticate|not authenticated|"
        "требуется авторизация|требуется аутентификация"
    ),
    Obstacle.TOO_MANY: "too many recipients|recipients limit",
    Obstacle.CONNECTIONS: (
        "too many connections|too many concurrent|maximum connections|connection limit|连接数|"
        "trop de connexions|zu viele verbindungen|слишком много соединений"
    ),
    Obstacle.RATE: (
        "rate limit|rate-limit|ratelimit|rate exceeded|too many messages|too much mail|throttl|"
        "slow down|sending too fast|слишком много|превышен лимит|频率|过于频繁|zu viele|demasiados|"
        "trop de|troppi|zbyt wiele"
    ),
    Obstacle.BLOCKED: (
        "client host * blocked|client host rejected|banned sending ip|ip * blocked|"
        "ip * blacklisted|ip * blocklisted|ip * listed|ip * rejected|ip * banned"
    ),
    Obstacle.OVER_QUOTA: (
        "over quota|over-quota|overquota|quota exceeded|quota * exceeded|exceed * quota|"
        "out of quota|mailbox full|mailbox is full|mailbox * full|exceeded storage allocation|"
        "переполнен|postfach * voll|boîte * pleine|buzón * lleno|casella * piena|skrzynka * pełna|"
        "邮箱已满|邮箱空间不足|メールボックス * 一杯"
    ),
    Obstacle.TOO_LARGE: (
        "message too large|message too big|message is too large|message size exceeds|size limit|"
        "maximum message size|maximum size|слишком большо|邮件过大|nachricht * zu groß|"
        "message * trop volumineux|mensaje * demasiado grande"
    ),
    Obstacle.DISK_FULL: "insufficient system storage|insufficient disk space|no space left",
    Obstacle.SPAM: "spam|спам|垃圾邮件|virus|вирус|病毒|malware|unsolicited",
    Obstacle.POLICY: "spf|dkim|dmarc|policy|administrative prohibition|content rejected",
    Obstacle.CONTENT: "line too long|lines too long|line length|bare lf|bare <lf>|bare newline",
    Obstacle.LOOP: "too many hops|routing loop|mail loop",
    Obstacle.DISABLED: (
        "account * disabled|mailbox disabled|mailbox is disabled|account * suspended"
    ),
    Obstacle.LATER: (
        "try again later|try again in|try again after|retry in|retry after|retry later|try later|"
        "temporarily deferred|попробуйте * позже|повторите|请稍后|稍后再试|später erneut|"
        "später * versuchen|réessayer * plus tard|réessayez plus tard|inténtelo * más tarde|"
        "riprova * più tardi|しばらく|後でもう一度"
    ),
}
"""Words of each obstacle, separated by `|`. The first obstacle with words in a reply counts."""


def refused_delivery(
    code: int, enhanced: str, text: str, now: datetime | None = None
) -> RefusedDelivery | None:
    """Return the meaning of a reply that refuses or puts off; None where it is unknown.

    `enhanced` is like "5.7.1", or "" where the server gives no enhanced code.
    """
    # Imported here, as most sessions meet no refusal.
    from reconciler.replies.reply_meaning import normalised  # noqa: PLC0415
    from reconciler.replies.requested_waits import asks_to_wait, seconds_named  # noqa: PLC0415

    words = normalised(re.sub(r"\b[245]\.\d{1,3}\.\d{1,3}\b", " ", text))
    found = _of_code(enhanced.partition(".")[2]) or _of_words(words) or _CODES.get(code)
    passing = 400 <= code < 500 and asks_to_wait(words)
    wait = seconds_named(words, now or datetime.now(UTC)) if passing or found in PASSING else None
    if found is None:
        return RefusedDelivery(Obstacle.LATER, wait) if wait is not None else None
    return RefusedDelivery(found, wait)


def _of_code(detail: str) -> Obstacle | None:
    return next(
        (
            found
            for known, found in _SUBJECTS
            if detail == known or (known.endswith(".") and detail.startswith(known))
        ),
        None,
    )


def has_known_words(words: str) -> bool:
    """Return whether a normalised text has words of the table that are not ASCII."""
    row = _row(words)
    return row is not None and not row[0].isascii()


def _of_words(words: str) -> Obstacle | None:
    row = _row(words)
    return row[1] if row else None


def _row(words: str) -> tuple[str, Obstacle] | None:
    from reconciler.replies.reply_meaning import contains_parts  # noqa: PLC0415  # as above

    return next((row for parts, row in _table() if contains_parts(words, parts)), None)


@functools.cache
def _table() -> Sequence[tuple[Sequence[str], tuple[str, Obstacle]]]:
    from reconciler.replies.reply_meaning import normalised  # noqa: PLC0415  # as above

    rows = [(one, found) for found, words in _WORDS.items() for one in words.split("|")]
    return [([part.strip() for part in normalised(row[0]).split("*")], row) for row in rows]
