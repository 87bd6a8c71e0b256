"""Small charts as inline SVG, drawn here: without script, style attributes and other hosts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _GAP = 5, 24, 1


def sparkline(values: Sequence[int], label: str) -> Markup:
    """Return a bar for each value. The label is read by screen readers, and is the tooltip."""
    top = max(values, default=0)
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            at * _WIDTH, _HEIGHT - height, _WIDTH - _GAP, height
        )
        for at, value in enumerate(values)
        if (height := _bar(value, top))
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" preserveAspectRatio="none">'
        '<title>{}</title><path d="M0 {}h{}"/>{}</svg>'
    ).format(len(values) * _WIDTH, _HEIGHT, label, _HEIGHT - 0.5, len(values) * _WIDTH, bars)


def _bar(value: int, top: int) -> int:
    """Return a bar's height. A value above 0 is always visible."""
    return max(2, round(value * (_HEIGHT - 1) / top)) if value > 0 else 0
