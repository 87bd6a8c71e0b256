"""The command line: one file for each verb; a verb is imported only when it is asked for."""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.readable_text import plain_terminal

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS = {
    "init": "Make a directory to begin with.",
    "run": "Run the daemon, or every collector once.",
    "validate": "Check manifests offline.",
    "explain": "Tell what a rule of validate is about.",
    "plan": "Show what a change of the manifests would do.",
    "get": "List the collectors and how they fare.",
    "describe": "Tell everything about one collector.",
    "logs": "Tell how the last sessions went, and what was said on the wire.",
    "add": "Declare a new collector.",
    "edit": "Change a collector's manifest.",
    "remove": "Remove a collector's manifest.",
    "enable": "Let a collector run.",
    "disable": "Keep a collector declared, but do not run it.",
    "collect": "Collect mail now.",
    "pause": "Pause the whole service.",
    "resume": "Let the service go on after a pause.",
    "clear": "Forget what was collected, so that it counts as new.",
    "check": "Connect, log in and count; collect nothing.",
    "oauth2": "Get consent for a collector that logs in by OAuth2.",
    "route": "Tell who would get a message, and why.",
    "fsck": "Compare the ledger with Maildirs and manifests.",
    "import": "Make manifests from fetchmail's or getmail's configuration.",
    "token": "Make, list and revoke the tokens of the API and the page.",
    "health": "Ask whether the daemon is well.",
    "schema": "Print the JSON Schema of the manifests.",
    "completion": "Print the script that completes words in a shell.",
    "version": "Print the version.",
}
"""Each verb is the command `command` of the module `reconciler.cli.VERB`."""


_MEANT = {
    "status": "get",
    "list": "get",
    "ls": "get",
    "ps": "get",
    "show": "describe",
    "inspect": "describe",
    "create": "add",
    "new": "add",
    "apply": "add",
    "delete": "remove",
    "rm": "remove",
    "del": "remove",
    "start": "enable",
    "stop": "disable",
    "suspend": "disable",
    "sync": "collect",
    "fetch": "collect",
    "reconcile": "collect",
    "reset": "clear",
    "forget": "clear",
    "lint": "validate",
    "diff": "plan",
    "test": "check",
    "ping": "check",
    "set": "edit",
    "daemon": "run",
    "serve": "run",
    "login": "oauth2",
    "repair": "fsck",
    "convert": "import",
    "healthcheck": "health",
    "alive": "health",
    "help": "--help",
    "log": "logs",
    "history": "logs",
}
"""Our verbs by the names that other programs use for them."""


class Verbs(click.Group):
    """The group of verbs. `--help` shows them without importing one."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"reconciler.cli.verbs.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(
                f"there is no verb {args[0]!r}{_suggested(args[0])}; mailcollector --help lists "
                "them"
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs without importing them."""
        # only where Tab is pressed
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        options = (
            click.Command.shell_complete(self, ctx, incomplete)
            if incomplete.startswith("-")
            else []
        )
        return [
            *(
                CompletionItem(name, help=what)
                for name, what in VERBS.items()
                if name.startswith(incomplete)
            ),
            *options,
        ]

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="mailcollector VERB --help tells each verb's options, examples and exit codes.",
)
@click.version_option(
    package_name="mailcollector", prog_name="mailcollector", message="%(prog)s %(version)s"
)
def commands() -> None:
    """Keeps a set of mail collectors running as declared: each fetches mail from a POP3 or IMAP
    account and hands it to the local mail system. Collectors are YAML manifests in a directory."""


def main() -> None:
    """Run the command that the arguments name; ends the process with its exit code."""
    gc.set_threshold(
        200_000, 20, 50
    )  # a start, and a session, make many objects and hardly any cycles
    _occupy_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="backslashreplace"
            )  # names in every script, terminals in some
    try:
        extra: dict[str, Any] = {"color": False} if plain_terminal() else {}
        commands.main(prog_name="mailcollector", **extra)
    except OSError as error:  # of --help, which no verb has written
        from reconciler.cli.verb import print_error  # noqa: PLC0415

        print_error(error)
        sys.exit(1)
    finally:
        _discard_unwritable_output()
        gc.freeze()  # all of it goes now: nobody needs to look for cycles in it


def _occupy_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that is closed. Otherwise the next opened
    file would get its number, and what is written to the stream would go into that file. Results
    that nobody can read remain an error."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            raw = io.FileIO(number, "r" if name == "stdin" else "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(raw, "utf-8", write_through=True))


def _discard_unwritable_output() -> None:
    """Discard output that cannot be written. Otherwise the interpreter would try once more at its
    end, and exit with a message and code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream of a test has no descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _suggested(word: str) -> str:
    from reconciler.cli.collectors import suggestion  # noqa: PLC0415  # a right word needs no difflib
    from reconciler.manifests.diagnostics import nearest  # noqa: PLC0415

    meant = _MEANT.get(nearest(word, [*_MEANT, *VERBS]) or "")
    return f": did you mean {meant}?" if meant else suggestion(word, VERBS)
