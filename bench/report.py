"""Measured figures as a table, as JSON, and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from bench.field import IN_DAEMON, ONCE
from bench.ours import Figures

OURS = (IN_DAEMON, ONCE)
_BAR, _GAP, _LABEL, _WIDTH = 16, 6, 190, 720


@dataclass(slots=True)
class Case:
    """What was measured of one thing: the runs of each program, in turn. `messages` of each run; 0:
    seconds count."""

    title: str
    messages: int
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    """Seconds that `run --once` took over an empty directory, in turn with the programs; taken off
    its time."""

    def add(self, name: str, figures: Figures) -> None:
        self.runs.setdefault(name, []).append(figures)

    @property
    def start(self) -> float:
        return statistics.median(self.starts) if self.starts else 0.0

    def seconds(self, name: str) -> float:
        return statistics.median(run.wall for run in self.runs[name]) - (
            self.start if name == ONCE else 0.0
        )

    def best_peer(self) -> str | None:
        peers = [name for name in self.runs if name not in OURS and not name.startswith("floor")]
        return min(peers, key=self.seconds, default=None)

    def text(self) -> str:
        """Ratios are of speed: 2.0 is twice as fast."""
        best, floor = self.best_peer(), "floor, fsync in batches"
        head = f"  {'':26} {'seconds':>8} {'range':>13} {'messages/s':>10} {'CPU s':>7} {'MB':>6}"
        lines = [self.title, f"{head} {'x best peer':>11} {'x floor':>8}"]
        for name, runs in self.runs.items():
            seconds, walls = self.seconds(name), [run.wall for run in runs]
            rate = f"{self.messages / seconds:.0f}" if self.messages else ""
            cells = [
                f"{self.seconds(other) / seconds:.2f}" if other in self.runs else ""
                for other in (best, floor)
            ]
            memory = statistics.median(run.memory for run in runs)
            lines.append(
                f"  {name:26} {seconds:8.3f} {min(walls):6.3f}-{max(walls):6.3f} {rate:>10} "
                f"{statistics.median(run.cpu for run in runs):7.3f} "
                f"{f'{memory:.1f}' if memory else '':>6} "
                f"{cells[0]:>11} {cells[1]:>8}"
            )
        return "\n".join(lines)


def data(cases: Sequence[Case]) -> list[Mapping[str, object]]:
    return [
        {
            "case": case.title,
            "program": name,
            "messages": case.messages,
            "start": case.start,
            "wall": [round(run.wall, 4) for run in runs],
            "cpu": [round(run.cpu, 4) for run in runs],
            "memory": [round(run.memory, 2) for run in runs],
        }
        for case in cases
        for name, runs in case.runs.items()
    ]


def picture(cases: Sequence[Case]) -> str:
    """SVG: of each case the medians as bars, messages a second, the longest the fastest."""
    parts: list[str] = []
    y = 10
    for case in cases:
        if not case.messages:
            continue
        rates = {name: case.messages / case.seconds(name) for name in case.runs}
        parts.append(_text(0, y + 12, case.title, "bold"))
        y += 22
        for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
            length = max(1, round(rate / max(rates.values()) * (_WIDTH - _LABEL - 70)))
            colour = (
                "#2563eb" if name in OURS else "#cbd5e1" if name.startswith("floor") else "#94a3b8"
            )
            parts += [
                _text(0, y + 12, name),
                f'<rect x="{_LABEL}" y="{y}" width="{length}" height="{_BAR}" fill="{colour}"/>',
                _text(_LABEL + length + 6, y + 12, f"{rate:.0f}"),
            ]
            y += _BAR + _GAP
        y += 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {_WIDTH + 16} {y}" '
        f'font-family="sans-serif" '
        f'font-size="12">\n<rect x="-8" width="{_WIDTH + 16}" height="{y}" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: int, y: int, text: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}">{escape(text)}</text>'
