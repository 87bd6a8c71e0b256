"""`mailcollector oauth2`."""

from __future__ import annotations

import click

from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import manifests_directory
from reconciler.cli.readable_text import print_message
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings


@verb(
    "oauth2",
    examples=[
        ("mailcollector oauth2 sales", "prints an address to open in a browser of this machine"),
        (
            "mailcollector oauth2 sales --device",
            "prints an address and a code, for a browser anywhere",
        ),
    ],
    exits={
        0: "the refresh token was written",
        1: "no consent, no such collector, or nowhere to write to",
        2: "usage",
    },
)
@click.argument("name", shell_complete=collector_names)
@click.option(
    "--device",
    is_flag=True,
    help="Consent on any device by a code (RFC 8628), where the provider allows it.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port of 127.0.0.1 that the browser comes back to; default: a free one.",
)
@click.option(
    "--authorization-url",
    default="",
    metavar="URL",
    help="Where to consent, for `provider: custom`.",
)
@click.option(
    "--device-url",
    default="",
    metavar="URL",
    help="Where device codes are given out, for `provider: custom`.",
)
@common_options(uses=READING)
def command(
    settings: Settings, name: str, device: bool, port: int, authorization_url: str, device_url: str
) -> int:
    """Asks the owner of the mailbox that the collector NAME reads for consent by OAuth2, and writes
    the refresh token into the file that source.oauth2.refreshToken names, in mode 0600. The
    application must be registered with the provider: source.oauth2.clientId. A collector that is
    stalled because the token is missing then continues."""
    # the whole of the daemon, not for --help
    from reconciler.cli.offline_collectors import OfflineCollectors  # noqa: PLC0415

    with OfflineCollectors(settings, manifests_directory(settings)) as collectors:
        file = collectors.consent(
            name, ConsentMethod(device, port, authorization_url, device_url), _print_prompt
        )
    click.echo(f"{escape(name)}: the refresh token is in {escape(file)}")
    return 0


def _print_prompt(prompt: Prompt) -> None:
    """Print what the owner has to open. It goes to stderr: stdout is for the result."""
    print_message(
        f"Open this address, and consent as the owner of the mailbox:\n\n    {escape(prompt.url)}\n"
    )
    if prompt.code:
        print_message(f"and type this code there: {escape(prompt.code)}\n")
