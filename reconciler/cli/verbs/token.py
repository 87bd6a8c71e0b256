"""`mailcollector token`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from reconciler.cli.common_options import TOKENS, common_options
from reconciler.cli.connect import running_daemon
from reconciler.cli.output_forms import output, serialize, table_lines
from reconciler.cli.readable_text import print_message
from reconciler.cli.verb import verb
from reconciler.model.errors import CollectorError
from reconciler.model.settings import Settings
from reconciler.model.timestamps import moment

if TYPE_CHECKING:
    from reconciler.web.access.token_file import ApiToken, TokenFile


@verb(
    "token",
    examples=[
        (
            "mailcollector token create --role operate --name anna",
            "prints a new token, this once; its role lets anna collect, check, enable and disable",
        ),
        ("mailcollector token list", "shows names, roles and when they were made"),
        ("mailcollector token revoke anna", "ends it, and the browser sessions begun with it"),
        (
            "mailcollector token link anna",
            "prints an address that logs a browser in once, within ten minutes",
        ),
    ],
    exits={
        0: "done",
        1: "no such token, one of this name already, or the file cannot be used",
        2: "usage",
    },
)
@click.argument("action", type=click.Choice(["create", "list", "revoke", "link"]))
@click.argument("name", required=False)
@click.option("--name", "named", metavar="NAME", help="Whose token it is; NAME alone does too.")
@click.option(
    "--role",
    type=click.Choice(["view", "operate", "edit"]),
    help="What it allows: `view` reads; `operate` also collects, checks, enables, disables and "
    "tries parked mail again; `edit` does everything.",
)
@output
@common_options(uses=TOKENS)
def command(
    settings: Settings,
    action: str,
    name: str | None,
    named: str | None,
    role: str | None,
    output: str,
) -> int:
    """Makes, lists and revokes the tokens that the API and the page want on --listen. A token is
    shown once, when it is made; its hash is kept in the file of tokens. A running daemon sees a
    change of that file at once; no daemon has to run."""
    # not needed for --help
    from reconciler.web.access.token_file import TokenFile  # noqa: PLC0415

    whose = "" if action == "list" else _one_name(action, name, named)
    running = _running(settings)
    tokens = TokenFile(settings.tokens or Path(running.get("tokenFile") or settings.token_file))
    if action == "list":
        _list(tokens, output)
        return 0
    if action == "create":
        _create(tokens, whose, role)
    elif action == "revoke":
        tokens.revoke(whose)
        print_message(f"revoked {whose}")
    else:
        click.echo(_link(settings.page_address or running.get("page") or "", tokens, whose))
    return 0


def _running(settings: Settings) -> dict[str, Any]:
    """Return what the running daemon says of itself; nothing where none can be asked."""
    try:
        with running_daemon(replace(settings, manifests=None)) or nullcontext() as daemon:
            return daemon.about() if daemon else {}
    except CollectorError:  # another user's, or of an earlier version
        return {}


def _one_name(action: str, name: str | None, named: str | None) -> str:
    if name and named and name != named:
        raise click.UsageError("give one NAME")
    if not (found := name or named):
        raise click.UsageError(f"token {action} needs a NAME")
    return found


def _create(tokens: TokenFile, name: str, role: str | None) -> None:
    from reconciler.web.access.roles import Role  # noqa: PLC0415

    if role is None:
        raise click.UsageError("token create needs --role view, operate or edit")
    click.echo(tokens.create(name, Role(role)))


def _list(tokens: TokenFile, output: str) -> None:
    found = tokens.tokens()
    if output == "name":
        text = "\n".join(token.name for token in found)
    elif output == "table":
        rows = [(token.name, token.role.value, moment(token.created_at)) for token in found]
        text = "\n".join(table_lines(("NAME", "ROLE", "CREATED"), rows))
    else:
        text = serialize([_plain(token) for token in found], output)
    if text:
        click.echo(text)


def _plain(token: ApiToken) -> dict[str, str]:
    from reconciler.model.timestamps import timestamp  # noqa: PLC0415

    return {"name": token.name, "role": token.role.value, "createdAt": timestamp(token.created_at)}


def _link(page: str, tokens: TokenFile, name: str) -> str:
    """Return an address that logs a browser in once."""
    from reconciler.web.access.login_sessions import LoginSessions  # noqa: PLC0415
    from reconciler.web.access.token_file import TokenRefused  # noqa: PLC0415

    token = tokens.named(name)
    if token is None:
        raise TokenRefused(f"there is no token {name!r}")
    if not page:
        raise click.UsageError(
            "no running daemon says where the page is: --listen HOST:PORT or --public-url URL"
        )
    if not tokens.signing_key:
        raise TokenRefused(f"{tokens.path} has no key to sign a link with")
    return f"{page}/login/{LoginSessions(tokens).link(token)}"
