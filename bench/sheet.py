"""Figures with the marks that they are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """`mark`: what it must stay under; None where it only tells."""

    name: str
    value: float
    unit: str
    mark: float | None = None

    @property
    def held(self) -> bool:
        return self.mark is None or self.value < self.mark

    def text(self) -> str:
        mark = "" if self.mark is None else f"under {self.mark:g}: {'yes' if self.held else 'NO'}"
        return f"  {self.name:44} {self.value:12.4g} {self.unit:10} {mark}".rstrip()


@dataclass(slots=True)
class Sheet:
    """What was measured of one thing."""

    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return all(row.held for row in self.rows)

    def add(self, name: str, value: float, unit: str, mark: float | None = None) -> None:
        self.rows.append(Row(name, value, unit, mark))

    def text(self) -> str:
        return "\n".join([self.title, *(row.text() for row in self.rows)])

    def data(self) -> list[Mapping[str, object]]:
        return [
            {
                "case": self.title,
                "figure": row.name,
                "value": round(row.value, 6),
                "unit": row.unit,
                "mark": row.mark,
            }
            for row in self.rows
        ]
