"""Plain aligned text: no borders, no wrapping, the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from reconciler.model.harmless_text import escape

Paint = Callable[[int, str], str]
"""Colours a padded cell, given its column."""


def aligned(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    indent: str = "",
    paint: Paint = lambda _, cell: cell,
) -> list[str]:
    """Lines with every column as wide as its widest cell. Cells are escaped here."""
    from rich.cells import cell_len  # noqa: PLC0415  # letters of some scripts take two columns

    cells = [list(header), *([escape(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for number, row in enumerate(cells):
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        padded[-1] = row[-1]
        painted = [paint(column, cell) for column, cell in enumerate(padded)] if number else padded
        lines.append(indent + "  ".join(painted))
    return lines
