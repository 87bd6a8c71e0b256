"""`-o`: how objects are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.readable_text import yaml_text
from reconciler.model.harmless_text import json_text

if TYPE_CHECKING:
    from reconciler.model.status import Shown

output = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml", "name"]),
    default="table",
    show_default=True,
    help="How the result is printed.",
)


def plain(shown: Shown) -> Any:
    """As it leaves as JSON: the contract's names, times as text."""
    return shown.model_dump(mode="json", by_alias=True)


def structured(value: Any, form: str) -> str:
    """`value` as JSON or YAML, as `form` says, without a final line end."""
    return json_text(value) if form == "json" else yaml_text(value).rstrip("\n")
