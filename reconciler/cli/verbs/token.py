"""`mailcollector token`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.common_options import TOKENS, common
from reconciler.cli.output_forms import aligned, output, structured
from reconciler.cli.readable_text import tell
from reconciler.cli.verb import verb
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
            "mailcollector token link anna --listen 127.0.0.1:8080",
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
@common(uses=TOKENS)
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
    # --help does without
    from reconciler.web.access.token_file import TokenFile  # noqa: PLC0415

    tokens = TokenFile(settings.token_file)
    if action == "list":
        _list(tokens, output)
        return 0
    name = _one_name(action, name, named)
    if action == "create":
        _create(tokens, name, role)
    elif action == "revoke":
        tokens.revoke(name)
        tell(f"revoked {name}")
    else:
        click.echo(_link(settings, tokens, name))
    return 0


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
        text = "\n".join(aligned(("NAME", "ROLE", "CREATED"), rows))
    else:
        text = structured([_plain(token) for token in found], output)
    if text:
        click.echo(text)


def _plain(token: ApiToken) -> dict[str, str]:
    from reconciler.model.timestamps import timestamp  # noqa: PLC0415

    return {"name": token.name, "role": token.role.value, "createdAt": timestamp(token.created_at)}


def _link(settings: Settings, tokens: TokenFile, name: str) -> str:
    """Return an address that logs a browser in once."""
    from reconciler.web.access.login_sessions import LoginSessions  # noqa: PLC0415
    from reconciler.web.access.token_file import TokenRefused  # noqa: PLC0415

    token = tokens.named(name)
    if token is None:
        raise TokenRefused(f"there is no token {name!r}")
    listen = settings.listen
    if not (settings.public_url or listen):
        raise click.UsageError("say where the page is: --listen HOST:PORT or --public-url URL")
    host = f"[{listen.host}]" if listen and ":" in listen.host else listen and listen.host
    base = settings.public_url or f"http://{host}:{listen and listen.port}"
    return f"{base}/login/{LoginSessions(tokens).link(token)}"
