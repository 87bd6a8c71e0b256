"""The chart of a collector's last sessions, as inline SVG: messages, duration, failures."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reconciler.model.status import ShownSession
from reconciler.web.page.page_translation import Language

_STEP, _BAR = 7, 5
_MESSAGES, _GAP, _TIMES = 64, 14, 28
"""Heights: the bars of messages, the line between, the bars of durations."""
_LEFT, _TOP = 0, 8
_PLACES = 100


def session_chart(sessions: Sequence[ShownSession], language: Language) -> Markup:
    """Return the chart of these sessions, which begin with the newest. The table below it says the
    same in words, so a screen reader passes over the bars."""
    shown = list(reversed(sessions))[-_PLACES:]
    most = max((one.collected for one in shown), default=0)
    longest = max(map(duration, shown), default=0.0)
    width, height = _LEFT + _PLACES * _STEP, _TOP + _MESSAGES + _GAP + _TIMES
    base = _TOP + _MESSAGES
    bars = Markup("").join(
        _bars(at, one, most, longest, base)
        for at, one in enumerate(shown, start=_PLACES - len(shown))
    )
    return Markup(
        '<svg class="chart sessions" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<path class="rule" d="M{} {}H{}M{} {}H{}"/>{}</svg>'
    ).format(
        width,
        height,
        language.gettext("Messages and duration of the last sessions; the table has the numbers"),
        _LEFT,
        base,
        width,
        _LEFT,
        height - 0.5,
        width,
        bars,
    )


def most_collected(sessions: Sequence[ShownSession]) -> int:
    """Return the highest bar of messages."""
    return max((one.collected for one in sessions), default=0)


def longest_words(sessions: Sequence[ShownSession], language: Language) -> str:
    """Return the highest bar of durations, in words."""
    return seconds_words(max(map(duration, sessions), default=0.0), language)


def duration(session: ShownSession) -> float:
    """Return the seconds that a session took; 0 while it runs."""
    if session.finished_at is None:
        return 0.0
    return max(0.0, (session.finished_at - session.started_at).total_seconds())


def seconds_words(seconds: float, language: Language) -> str:
    """Return a short duration: 0.3 s, 12 s, 4 min."""
    if seconds >= 120:
        return f"{language.number(round(seconds / 60))}\N{NO-BREAK SPACE}{language.gettext('min')}"
    rounded = round(seconds, 1) if seconds < 10 else round(seconds)
    return f"{language.number(rounded)}\N{NO-BREAK SPACE}{language.gettext('s')}"


def _bars(at: int, session: ShownSession, most: int, longest: float, base: int) -> Markup:
    x = _LEFT + at * _STEP
    failed = session.outcome == "failed"
    height = 0 if not most else round(session.collected * (_MESSAGES - 2) / most)
    high = max(2, height) if session.collected else 0
    long = max(1.5, round(duration(session) * _TIMES / longest, 1)) if longest else 1.5
    found = Markup("")
    if high:
        found += _rect("bar-good", x, base - high, high)
    if failed or session.failed:
        found += Markup('<circle class="bar-bad" cx="{}" cy="{}" r="3"/>').format(
            x + _BAR / 2, base - high - 5
        )
    kind = "bar-bad" if failed else "bar-none"
    return found + _rect(kind, x, base + _GAP + _TIMES - long, long)


def _rect(kind: str, x: float, y: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, x, y, _BAR, height
    )
