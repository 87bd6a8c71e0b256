"""The forms in which verbs print results: `-o`, aligned tables, JSON and YAML."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.model.harmless_text import escape, escape_in_yaml, is_unsafe, json_text

if TYPE_CHECKING:
    from reconciler.model.status import Shown

Paint = Callable[[int, str], str]
"""Colours a padded cell, given its column."""

output = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml", "name"]),
    default="table",
    show_default=True,
    help="How the result is printed.",
)


def json_data(shown: Shown) -> Any:
    """Return the object as JSON has it: the public field names, times as text."""
    return shown.model_dump(mode="json", by_alias=True)


def serialize(value: Any, form: str) -> str:
    """Return `value` as JSON or YAML, as `form` says, without a final line end."""
    return json_text(value) if form == "json" else yaml_text(value).rstrip("\n")


def yaml_text(value: Any) -> str:
    """Return YAML in every script, with the characters that `escape` means as escapes."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # only for -o yaml

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.width = 1 << 20
    yaml.representer.add_representer(str, _quoted_if_unsafe)
    yaml.representer.add_multi_representer(str, _quoted_if_unsafe)  # the members of a StrEnum
    written = io.StringIO()
    yaml.dump(value, written)
    return escape_in_yaml(written.getvalue())


def _quoted_if_unsafe(representer: Any, text: str) -> Any:
    return representer.represent_scalar(
        "tag:yaml.org,2002:str", str(text), style='"' if is_unsafe(text) else None
    )


def table_lines(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    indent: str = "",
    paint: Paint = lambda _, cell: cell,
) -> list[str]:
    """Return the lines of a plain table, the same on a terminal and in a pipe.

    Each column is as wide as its widest cell; nothing is wrapped. Cells are escaped here.
    """
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
