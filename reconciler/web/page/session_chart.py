"""The chart of a collector's last sessions, as inline SVG: messages, duration, failures."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reconciler.model.status import ShownSession
from reconciler.web.page.page_translation import Language

_WIDTH = 700
_WIDEST = 28
"""The step from bar to bar where there are few."""
_MESSAGES, _GAP, _TIMES = 64, 14, 28
"""Heights: the bars of messages, the line between, the bars of durations."""
_NONE = 8
"""The height of the bars of messages where there was none."""
_TOP = 8
_PLACES = 100
_FEWEST = 3
"""Sessions that make a chart; fewer are told by the table alone."""


def session_chart(sessions: Sequence[ShownSession], language: Language) -> Markup:
    """Return the chart of these sessions, which begin with the newest; "" where they are too few.
    The table below it says the same in words, so a screen reader passes over the bars."""
    shown = list(reversed(sessions))[-_PLACES:]
    if len(shown) < _FEWEST:
        return Markup("")
    most = max(one.collected for one in shown)
    longest = max(map(duration, shown))
    step = min(_WIDEST, _WIDTH / len(shown))
    base = _TOP + (_MESSAGES if most else _NONE)
    height = base + _GAP + _TIMES
    end = _number(step * len(shown))
    bars = Markup("").join(
        _bars(at * step, step * 5 / 7, one, most, longest, base) for at, one in enumerate(shown)
    )
    return Markup(
        '<svg class="chart sessions" viewBox="0 0 {} {}" preserveAspectRatio="xMinYMin" '
        'role="img" aria-label="{}">'
        '<path class="rule" d="M0 {}H{}M0 {}H{}"/>{}</svg>'
    ).format(
        _WIDTH,
        height,
        language.gettext("Messages and duration of the last sessions; the table has the numbers"),
        base,
        end,
        height - 0.5,
        end,
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
    if 0 < seconds < 0.05:
        return f"<{language.number(0.1)}\N{NO-BREAK SPACE}{language.gettext('s')}"
    if seconds >= 120:
        return f"{language.number(round(seconds / 60))}\N{NO-BREAK SPACE}{language.gettext('min')}"
    rounded = round(seconds, 1) if seconds < 10 else round(seconds)
    return f"{language.number(rounded)}\N{NO-BREAK SPACE}{language.gettext('s')}"


def _bars(
    x: float, wide: float, session: ShownSession, most: int, longest: float, base: int
) -> Markup:
    failed = session.outcome == "failed"
    height = 0 if not most else round(session.collected * (_MESSAGES - 2) / most)
    high = max(2, height) if session.collected else 0
    long = max(1.5, round(duration(session) * _TIMES / longest, 1)) if longest else 1.5
    found = Markup("")
    if high:
        found += _rect("bar-good", x, wide, base - high, high)
    if failed or session.failed:
        found += Markup('<circle class="bar-bad" cx="{}" cy="{}" r="3"/>').format(
            _number(x + wide / 2), base - high - 5
        )
    kind = "bar-bad" if failed else "bar-none"
    return found + _rect(kind, x, wide, base + _GAP + _TIMES - long, long)


def _rect(kind: str, x: float, wide: float, y: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, _number(x), y, _number(wide), height
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
