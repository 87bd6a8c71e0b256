"""`mailcollector add`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import account_prompts, manifest_changes
from reconciler.cli.common_options import FILES, common_options
from reconciler.cli.connect import manifests_to_write
from reconciler.cli.readable_text import print_message
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import LabelAssignments
from reconciler.manifests.editing.git_commit import require_committable
from reconciler.model import known_providers
from reconciler.model.errors import CollectorError
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.manifests.editing.manifest_editor import ManifestEditor


@verb(
    "add",
    examples=[
        (
            "mailcollector add sales",
            "asks for the server, the account and its password, on a terminal",
        ),
        (
            (
                "mailcollector add sales --protocol imap --host mx.example.com --username me "
                "--password-env P --forward-to me@b.c"
            ),
            "writes sales.yaml, and asks nothing",
        ),
        (
            (
                "mailcollector add sales --from office --username me --password-env P --forward-to "
                "me@b.c"
            ),
            "says only what its template office does not",
        ),
        (
            "mailcollector add sales -f draft.yaml --git-commit",
            "takes the manifest from a file, and commits it to git",
        ),
        (
            "mailcollector add -f -",
            "takes it, or what get -o yaml printed, from standard input; the name is in it",
        ),
    ],
    exits=manifest_changes.EXITS,
)
@click.argument("name", required=False)
@click.option(
    "-f",
    "--file",
    "file",
    metavar="FILE",
    help="Take the whole manifest from FILE (- for standard input) as it stands.",
)
@click.option(
    "--from", "template", metavar="TEMPLATE", help="The Template whose fields count besides these."
)
@click.option(
    "--provider",
    metavar="PROVIDER",
    help="One that is known, such as gmail or yandex: its server need not be said "
    "(docs/providers.md). Also "
    "by another name of it, or a mail address there.",
)
@click.option("--protocol", type=click.Choice(["imap", "pop3"]), help="How mail is fetched.")
@click.option("--host", metavar="HOST", help="The server.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="Default: the protocol's."
)
@click.option(
    "--tls", type=click.Choice(["implicit", "starttls", "none"]), help="Default: implicit."
)
@click.option("--username", metavar="NAME", help="The name to log in with.")
@click.option(
    "--address", metavar="ADDRESS", help="The account's own address, where it is not the user name."
)
@click.option("--password-file", metavar="PATH", help="The password is this file's first line.")
@click.option(
    "--password-env", metavar="NAME", help="The password is in this variable of the daemon."
)
@click.option(
    "--password-command", metavar="COMMAND", help="The password is what this program prints."
)
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Take the password from standard input, and keep it in a new file of mode 0600 in "
    "../secrets.",
)
@click.option(
    "--folder", "folders", metavar="FOLDER", multiple=True, help="Default: INBOX; may be repeated."
)
@click.option(
    "--mode", type=click.Choice(["all-delete", "new-delete", "new-keep"]), help="Default: new-keep."
)
@click.option("--interval", metavar="INTERVAL", help="From start to start; default: 5m.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help="Messages in one session; default: 100.",
)
@click.option("--forward-to", metavar="ADDRESS", help="Every message goes to this mailbox.")
@click.option(
    "--detect-from",
    metavar="DOMAIN",
    multiple=True,
    help="Find out whom each message was sent to, in this domain; may be repeated.",
)
@click.option("--detect-to", metavar="DOMAIN", help="The local domain, with --detect-from.")
@click.option(
    "--default", "default", metavar="ADDRESS", help="For mail whose recipient is not found."
)
@click.option("--destination", metavar="NAME", help="Default: the Destination that is marked so.")
@click.option("--title", metavar="TEXT", help="Free text.")
@click.option(
    "-l",
    "--label",
    "labels",
    type=LabelAssignments(),
    metavar="LABEL=VALUE",
    multiple=True,
    help="A label, or several with commas between them; may be repeated.",
)
@click.option("--disabled", is_flag=True, help="Declare it, but do not run it yet.")
@manifest_changes.git_commit
@common_options(uses=FILES)
def command(
    settings: Settings, name: str | None, file: str | None, git_commit: bool, **fields: Any
) -> int:
    """Declares the collector NAME in a new file NAME.yaml in the manifests' directory, from the
    options or from FILE. The directory is made if it does not exist. On a terminal, add asks for
    what is needed and was not given. A password that is typed is kept in a file of mode 0600,
    ../secrets/NAME. An invalid manifest is not written. Paths of files are relative to the
    manifest. There is no option for the password itself, because everybody on the machine can see
    command lines."""
    if file and any(value for value in fields.values()):
        raise click.UsageError("give the manifest as FILE or as options, not both")
    if not file and not name:
        raise click.UsageError("name the collector, or give its manifest with -f FILE")
    if fields["provider"] and (meant := known_providers.guess_provider(fields["provider"])):
        fields["provider"] = meant.name
    given = account_prompts.manifests_from(_read(file), name) if file else {}
    secret = None
    if not file:
        secret = account_prompts.ask_missing(str(name), fields, can_ask=_is_terminal())
    with manifests_to_write(settings) as directory:
        from reconciler.manifests.editing.manifest_editor import ManifestEditor  # noqa: PLC0415  # not needed for --help

        editor = ManifestEditor(directory, allow_inline_secrets=settings.allow_inline_secrets)
        if not file:
            given = {str(name): _composed(str(name), directory, **fields)}
        try:
            with (
                manifest_changes.printed_diagnostics(),
                account_prompts.secret_kept(secret, directory, str(name)),
            ):
                _write(editor, given, git_commit=git_commit)
        except CollectorError:
            options = account_prompts.missing_options(fields)
            if options and not (file or fields["template"]):
                print_message(f"add needs {', '.join(options)}; on a terminal it asks for them")
            raise
    if provider := known_providers.provider_named(fields["provider"] or ""):
        for sentence in provider.prepare:
            print_message(f"{provider.title}: {sentence}")
    return 0


def _write(editor: ManifestEditor, given: Mapping[str, bytes], *, git_commit: bool) -> None:
    for name, content in given.items():
        if git_commit:
            require_committable(editor.directory / f"{name}.yaml")
        editor.require_new(name, content)
    from reconciler.manifests.editing.modeline import provide  # noqa: PLC0415  # not needed for --help

    provide(editor.directory)
    for name, content in given.items():
        written = editor.add(name, content)
        manifest_changes.report_change(written.path, f"Add collector {name}", git_commit=git_commit)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _read(file: str) -> bytes:
    with click.open_file(file, "rb") as opened:
        content: bytes = opened.read()
        return content


def _composed(
    name: str,
    directory: Path,
    *,
    labels: Sequence[Mapping[str, str]],
    disabled: bool,
    **fields: Any,
) -> bytes:
    from reconciler.manifests.editing.modeline import modeline_for  # noqa: PLC0415
    from reconciler.manifests.editing.new_manifests import collector  # noqa: PLC0415  # not needed for --help

    spec = {
        "from": fields["template"],
        "title": fields["title"],
        "enabled": False if disabled else None,
        "source": _source(**fields),
        "collect": {key: fields[key] for key in ("mode", "interval", "limit")},
        "recipient": _recipient(**fields),
        "destination": fields["destination"],
    }
    every = {key: value for some in labels for key, value in some.items()}
    return collector(name, spec, labels=every, modeline=modeline_for(directory)).encode()


def _source(**fields: Any) -> dict[str, Any]:
    command = fields["password_command"]
    password = {
        "file": fields["password_file"],
        "env": fields["password_env"],
        "command": shlex.split(command) if command else None,
    }
    source = {
        key: fields[key]
        for key in ("provider", "protocol", "host", "port", "tls", "username", "address")
    }
    return {**source, "password": password, "folders": fields["folders"]}


def _recipient(**fields: Any) -> dict[str, Any]:
    detect = {
        "from": fields["detect_from"],
        "to": fields["detect_to"],
        "default": fields["default"],
    }
    return {"forwardTo": fields["forward_to"], "detect": detect}
