"""The parts of every verb: a paragraph, options, common options, examples, exit codes, and how it
ends."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from reconciler.cli.common_options import CommonOption
from reconciler.cli.readable_text import print_message
from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import escape

INTERRUPTED = 130
Example = tuple[str, str]
"""A command line and its effect."""


class Verb(click.Command):
    """A command whose callback returns the exit code. Expected errors become one line on stderr and
    exit code `failure`."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example],
        exits: Mapping[int, str],
        failure: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.exits = exits
        self.failure = failure

    def invoke(self, ctx: click.Context) -> Any:
        # not for --help
        from reconciler.app.process_setup import forbid_core_dumps  # noqa: PLC0415

        forbid_core_dumps()  # most verbs read secrets, or ask for one
        try:
            code = super().invoke(ctx)
        except CollectorError as error:
            print_error(error)
            code = self.failure
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly
            print_error(error)
            code = self.failure
        except (
            KeyboardInterrupt,
            click.Abort,
        ):  # Abort: Ctrl-C or Ctrl-D where a question was asked
            code = INTERRUPTED
        ctx.exit(code)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, common in (("Options", False), ("Common options", True)):
            rows = [
                row
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and isinstance(parameter, CommonOption) is common
                and (row := parameter.get_help_record(ctx)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line, what in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
                formatter.write(f"{'':{formatter.current_indent + 4}}{what}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), what) for code, what in sorted(self.exits.items())])


def verb(
    name: str, *, examples: Sequence[Example], exits: Mapping[int, str], failure: int = 1
) -> Callable[[Callable[..., int]], Verb]:
    """Make a function that returns the exit code into the verb `name`; its docstring is the
    paragraph."""
    return click.command(name, cls=Verb, examples=examples, exits=exits, failure=failure)


def print_error(error: Exception | str) -> None:
    """Print an expected error in one line on stderr."""
    text = error
    if isinstance(error, OSError) and error.strerror:
        text = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    print_message(f"mailcollector: {escape(str(text))}")
