"""`mailcollector completion`, and what the shells complete besides verbs and options: collectors
and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.verb import verb
from reconciler.model.selectors import Selector, assignments, selector
from reconciler.model.settings import Settings

_VARIABLE = "_MAILCOLLECTOR_COMPLETE"


@verb(
    "completion",
    examples=[
        (
            (
                "mailcollector completion bash > "
                "~/.local/share/bash-completion/completions/mailcollector"
            ),
            "for bash, from the next shell on",
        ),
        (
            "mailcollector completion zsh > ~/.zfunc/_mailcollector",
            "for zsh, where ~/.zfunc is in fpath before compinit",
        ),
        (
            "mailcollector completion fish > ~/.config/fish/completions/mailcollector.fish",
            "for fish",
        ),
    ],
    exits={0: "printed", 2: "usage"},
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options(uses=())
def command(_: Settings, shell: str) -> int:
    """Prints the script that makes a shell complete verbs, options, the names of collectors and
    their labels."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    from reconciler.cli import commands  # noqa: PLC0415  # it imports this module

    shells = get_completion_class(shell)
    assert shells is not None  # noqa: S101  # click knows these three
    made = shells(commands, {}, "mailcollector", _VARIABLE)
    click.echo(made.source_template % made.source_vars())
    return 0


def collector_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of collectors that begin with `incomplete`, without those that the command
    line already has."""
    named = set(ctx.params.get("names") or ())
    return [
        name for name, _ in _collectors(ctx) if name.startswith(incomplete) and name not in named
    ]


class LabelSelector(click.ParamType[Selector]):
    """The parameter type of a label selector such as `team in (sales,support)`."""

    name = "selector"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Selector:
        if isinstance(value, Selector):
            return value
        try:
            return selector(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  # click's signature
        incomplete: str,
    ) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        before, comma, last = incomplete.rpartition(",")
        found = {
            f"{key}={value}" for _, labels in _collectors(ctx) for key, value in labels.items()
        }
        return [
            CompletionItem(f"{before}{comma}{label}")
            for label in sorted(found)
            if label.startswith(last)
        ]


class LabelAssignments(LabelSelector):
    """The parameter type of labels to set, such as `team=sales,env=test`."""

    name = "labels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, dict) else assignments(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _collectors(ctx: click.Context) -> Iterable[tuple[str, dict[str, str]]]:
    """Return the names and labels of all collectors: from a running daemon, or from the manifests
    of the option --manifests. Return none where neither can be read."""
    from reconciler.cli.connect import MANIFESTS, running_daemon  # noqa: PLC0415
    from reconciler.manifests.directory_walk import DirectoryVanished, walk  # noqa: PLC0415
    from reconciler.model.errors import CollectorError  # noqa: PLC0415

    directory = ctx.params.get("manifests")
    state = ctx.params.get("state_dir") or Path("state")
    try:
        if directory is None and (daemon := running_daemon(_settings(state))) is not None:
            with daemon:
                return [(one.metadata.name, one.metadata.labels) for one in daemon.listed()]
        listed = walk(Path(directory or MANIFESTS)).files
    except (DirectoryVanished, CollectorError, click.UsageError, OSError):
        return []  # the verb itself prints the reason
    return sorted(found for path in listed for found in _declared(path))


def _declared(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    from reconciler.manifests import manifest_files  # noqa: PLC0415
    from reconciler.manifests.yaml import document_reader  # noqa: PLC0415

    try:
        found, _ = document_reader.read(manifest_files.read(path))
    except manifest_files.Unreadable:
        return
    for one in found:
        manifest = one.root.value
        metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
        if isinstance(metadata, dict) and manifest.get("kind") == "MailCollector":
            labels = metadata.get("labels")
            yield (
                str(metadata.get("name")),
                (
                    {str(key): str(value) for key, value in labels.items()}
                    if isinstance(labels, dict)
                    else {}
                ),
            )


def _settings(state_dir: Path) -> Any:
    from reconciler.model.settings import Settings  # noqa: PLC0415

    return Settings(state_dir=state_dir, state_url="")
