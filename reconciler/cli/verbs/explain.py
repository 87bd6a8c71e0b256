"""`mailcollector explain`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.collectors import suggestion
from reconciler.cli.common_options import common_options
from reconciler.cli.output_forms import serialize
from reconciler.cli.verb import verb
from reconciler.model.errors import CollectorError
from reconciler.model.settings import Settings


class UnknownRule(CollectorError):
    """No diagnostic has such a rule."""

    reason = "NotFound"


def _rules(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from reconciler.manifests.checks.rule_catalogue import RULES  # noqa: PLC0415

    return [rule for rule in RULES if rule.startswith(incomplete)]


@verb(
    "explain",
    examples=[
        (
            "mailcollector explain tls-none",
            "tells what the rule is about that validate names in brackets",
        ),
        ("mailcollector explain", "lists all rules"),
        ("mailcollector explain -o json", "the same for a program"),
    ],
    exits={0: "told", 1: "no such rule", 2: "usage"},
)
@click.argument("rule", required=False, shell_complete=_rules)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@common_options(uses=())
def command(_: Settings, rule: str | None, output: str) -> int:
    """Explains a rule of `validate`, or lists all rules."""
    # not needed for --help
    from reconciler.manifests.checks.rule_catalogue import RULES, WARNINGS, page  # noqa: PLC0415

    if rule is not None and rule not in RULES:
        raise UnknownRule(f"there is no rule {rule!r}{suggestion(rule, RULES)}")
    found: list[dict[str, Any]] = [
        {
            "rule": one,
            "severity": "warning" if one in WARNINGS else "error",
            "meaning": meaning,
            "page": page(one),
        }
        for one, meaning in RULES.items()
        if rule in {None, one}
    ]
    if output != "text":
        click.echo(serialize(found, output))
    elif rule:
        (one,) = found
        click.echo(f"{rule} ({one['severity']})\n\n{one['meaning']}\n\n{one['page']}")
    else:
        width = max(map(len, RULES))
        click.echo("\n".join(f"{one['rule']:<{width}}  {one['meaning']}" for one in found))
    return 0
