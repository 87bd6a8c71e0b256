"""`mailcollector route`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import manifests_directory
from reconciler.cli.output_forms import output, serialize, table_lines
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.mail.headers import HEAD
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.routing_answer import Routing


@verb(
    "route",
    examples=[
        (
            "mailcollector route sales letter.eml",
            "tells who would get letter.eml from sales, and why",
        ),
        (
            "mailcollector route sales - -o name",
            "reads the message from standard input and prints the addresses alone",
        ),
    ],
    exits={
        0: "told, also that the message would be parked",
        2: "usage",
        1: "no such collector, no such file, or the destination cannot be asked",
    },
)
@click.argument("name", shell_complete=collector_names)
@click.argument("file")
@output
@common_options(uses=READING)
def command(settings: Settings, name: str, file: str, output: str) -> int:
    """Shows who would get the message in FILE (- for standard input) if the collector NAME had
    fetched it: each recipient with the tier, the header and its line, and the rule that decided,
    and every address that was considered. Nothing is delivered. If the manifest leaves it to the
    destination which mailboxes exist, the destination is asked."""
    # the whole of the daemon, not for --help
    from reconciler.cli.offline_collectors import OfflineCollectors  # noqa: PLC0415

    head = _head(file)
    with OfflineCollectors(settings, manifests_directory(settings)) as collectors:
        routing = collectors.routing(name, head)
    click.echo(_rendered(name, routing, output))
    return 0


def _head(file: str) -> bytes:
    """Return the first octets of the message, as many as routing reads."""
    with click.open_file(file, "rb") as message:
        head: bytes = message.read(HEAD)
        return head


def _rendered(name: str, routing: Routing, output: str) -> str:
    if output == "name":
        return "\n".join(recipient.address for recipient in routing.recipients)
    return (
        "\n".join(routing_lines(name, routing))
        if output == "table"
        else serialize(routing.declared(), output)
    )


def routing_lines(name: str, routing: Routing) -> list[str]:
    """Return the answer in lines for a terminal."""
    outcome = "would be parked" if routing.parked else "would be delivered"
    lines = [
        f"{escape(name)}: the message {outcome}{f' ({routing.reason})' if routing.reason else ''}"
    ]
    if routing.recipients:
        lines += table_lines(
            ("RECIPIENT", "TIER", "HEADER", "LINE", "RULE"),
            [
                (each.address, each.tier, each.header or "", str(each.line or ""), each.rule)
                for each in routing.recipients
            ],
            indent="  ",
        )
    if routing.considered:
        lines += [
            "Considered:",
            *table_lines(
                ("HEADER", "LINE", "ADDRESS", "VERDICT"),
                [
                    (each.header, str(each.line), each.address, each.verdict)
                    for each in routing.considered
                ],
                indent="  ",
            ),
        ]
    return lines
