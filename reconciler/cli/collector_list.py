"""Print a list of collectors in the forms of `get -o`: tables, and kubectl's jsonpath and custom
columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from reconciler.cli import jsonpath
from reconciler.cli.collector_summary import destination_away_text, host_away_text, session_summary
from reconciler.cli.output_forms import json_data, serialize, table_lines
from reconciler.cli.readable_text import time_until
from reconciler.model.harmless_text import escape

if TYPE_CHECKING:
    from reconciler.model.status import ShownCollector

HEADER = (
    "NAME",
    "READY",
    "STATUS",
    "PROTOCOL",
    "ACCOUNT",
    "MODE",
    "COLLECTED",
    "LAST SESSION",
    "NEXT",
)
WIDE = (*HEADER, "INTERVAL", "PARKED", "RECIPIENT", "DESTINATION", "LABELS", "TITLE")
FORMS = ("table", "wide", "json", "yaml", "name", "jsonpath=…", "custom-columns=…")
_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}
_RUN_ON = {"InvalidManifest", "ManifestUnreadable", "DirectoryVanished", "Held"}
"""Reasons why a manifest is not in force while its last good version runs."""
_COLUMNS = {
    "name": ".metadata.name",
    "account": ".spec.source.username",
    "host": ".spec.source.host",
    "protocol": ".spec.source.protocol",
    "mode": ".spec.collect.mode",
    "title": ".spec.title",
    "interval": ".spec.collect.interval",
    "collected": ".status.totals.collected",
    "failed": ".status.totals.failed",
    "bytes": ".status.totals.bytes",
    "next": ".status.nextSession",
    "last": ".status.lastSession.startedAt",
    "parked": ".status.lastSession.parked",
    "ready": '.status.conditions[?(@.type=="Ready")].status',
    "status": '.status.conditions[?(@.type=="Ready")].reason',
}
"""The columns that --sort-by takes besides paths."""

_NAMED = 3
"""The number of collectors that are named when one advice concerns many."""

Renderer = Callable[[Sequence["ShownCollector"], bool], str]
"""Returns the text for some collectors, empty if there is nothing to print. The flag is True if one
collector was requested by name."""


class Form(click.ParamType[str]):
    """The parameter type of `-o`; its value is the text as it was written."""

    name = "form"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        kind, _, rest = text.partition("=")
        if kind in {"jsonpath", "custom-columns"} and rest:
            try:
                renderer(text, headers=True)
            except jsonpath.BadTemplate as error:
                self.fail(str(error), param, ctx)
        elif text not in FORMS[:5]:
            self.fail(f"{text!r} is none of {', '.join(FORMS)}", param, ctx)
        return text

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        words = [*FORMS[:5], "jsonpath=", "custom-columns="]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class SortField(NamedTuple):
    """What a list is ordered by. `text` is the path as it was written, empty for a column."""

    path: jsonpath.Path
    text: str = ""


class SortKey(click.ParamType[SortField]):
    """The parameter type of `--sort-by`: a column's name or a path."""

    name = "field"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SortField:
        text = str(value)
        try:
            if text.lower() in _COLUMNS:
                return SortField(jsonpath.parse_path(_COLUMNS[text.lower()]))
            if text[:1] not in {".", "{", "["}:
                self.fail(
                    f"{text!r} is neither a path such as .status.totals.collected nor one of "
                    f"{', '.join(_COLUMNS)}",
                    param,
                    ctx,
                )
            return SortField(jsonpath.parse_path(text), text)
        except jsonpath.BadTemplate as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        return [CompletionItem(word) for word in _COLUMNS if word.startswith(incomplete)]


def sort_collectors(collectors: Sequence[ShownCollector], key: SortField) -> list[ShownCollector]:
    """Return the collectors in the order of `key`: first those without a value, then numbers, then
    texts. Raises click.UsageError for a path that leads to nothing in any of them, as kubectl
    does: it is most likely misspelt."""
    values = [key.path.of(json_data(one)) for one in collectors]
    if key.text and values and not any(values):
        raise click.UsageError(
            f"--sort-by {key.text}: no collector in the list has this field; "
            "`get -o json` shows the fields"
        )
    ranked = zip(map(_rank, values), range(len(values)), collectors, strict=True)
    return [collector for _, _, collector in sorted(ranked, key=itemgetter(0, 1))]


def _rank(found: Sequence[Any]) -> tuple[int, float, str]:
    value = found[0] if found else None
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, jsonpath.value_text(value)


def renderer(form: str, *, headers: bool) -> Renderer:
    """Return the function that prints in this form. Raises `jsonpath.BadTemplate`."""
    kind, _, rest = form.partition("=")
    if kind == "jsonpath":
        pieces = jsonpath.parse_template(rest)
        return lambda found, one: jsonpath.render(pieces, _root(found, one=one))
    if kind == "custom-columns":
        columns = _columns(rest)
        return lambda found, _: "\n".join(_custom(found, columns, headers=headers))
    if kind in {"table", "wide"}:
        header = WIDE if kind == "wide" else HEADER
        return lambda found, _: (
            "\n".join(
                [
                    *table(found, datetime.now(UTC), header=header, headers=headers),
                    *(advice_lines(found) if headers else ()),
                ]
            )
            if found
            else ""
        )
    if kind == "name":
        return lambda found, _: "\n".join(collector.metadata.name for collector in found)
    return lambda found, _: serialize([json_data(collector) for collector in found], kind)


def _root(found: Sequence[ShownCollector], *, one: bool) -> Any:
    """Return the root of a template: the collector if one was requested by name, else `items`."""
    return (
        json_data(found[0])
        if one and found
        else {"items": [json_data(collector) for collector in found]}
    )


def _columns(text: str) -> list[tuple[str, jsonpath.Path]]:
    columns = []
    for part in text.split(","):
        name, colon, where = part.partition(":")
        if not (name and colon and where):
            raise jsonpath.BadTemplate(
                f"{part!r} is no column: write HEADER:PATH, such as HOST:.spec.source.host"
            )
        columns.append((name, jsonpath.parse_path(where)))
    return columns


def _custom(
    found: Sequence[ShownCollector], columns: Sequence[tuple[str, jsonpath.Path]], *, headers: bool
) -> list[str]:
    rows = []
    for collector in found:
        values = [path.of(json_data(collector)) for _, path in columns]
        rows.append(
            [",".join(map(jsonpath.value_text, value)) if value else "<none>" for value in values]
        )
    return table_lines([name for name, _ in columns], rows)[0 if headers else 1 :]


def table(
    shown: Iterable[ShownCollector],
    now: datetime,
    *,
    header: Sequence[str] = HEADER,
    headers: bool = True,
) -> list[str]:
    """Return one line for each collector, below the header."""
    lines = table_lines(
        header,
        [_row(collector, now)[: len(header)] for collector in shown],
        paint=lambda column, cell: _paint(header[column], cell),
    )
    return lines if headers else lines[1:]


def advice_lines(shown: Iterable[ShownCollector]) -> list[str]:
    """Return who paused the service, which hosts refuse logins, and what can be done about
    failures: each once, with the collectors that it concerns."""
    from reconciler.model.collector_state import PAUSED  # noqa: PLC0415  # not needed for --help

    names: dict[str, list[str]] = {}
    shown = list(shown)
    paused = dict.fromkeys(
        f"The service is {escape(one.message)}"
        for collector in shown
        for one in collector.status.conditions
        if one.type == "Ready" and one.reason == PAUSED
    )
    away = {(one.host, one.port): one for collector in shown if (one := collector.status.host_away)}
    lines = [*paused]
    lines += [
        f"{host_away_text(one, datetime.now(UTC))}: {escape(one.message)}" for one in away.values()
    ]
    closed = {
        gone.destination: gone for collector in shown if (gone := collector.status.destination_away)
    }
    lines += [
        f"{destination_away_text(gone, datetime.now(UTC))}: {escape(gone.message)}"
        for gone in closed.values()
    ]
    for collector in shown:
        last = collector.status.last_session
        if last is not None and last.error is not None and last.error.advice:
            names.setdefault(last.error.advice, []).append(collector.metadata.name)
    return lines + [
        f"{_several(concerned)}: {escape(advice)}" for advice, concerned in names.items()
    ]


def _several(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (
        f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    )


def _row(collector: ShownCollector, now: datetime) -> tuple[str, ...]:
    spec, status = collector.spec, collector.status
    source, collect, last = spec.get("source", {}), spec.get("collect", {}), status.last_session
    return (
        collector.metadata.name,
        *ready_status(collector),
        source.get("protocol", ""),
        "/".join(source[field] for field in ("host", "username") if field in source),
        collect.get("mode", ""),
        f"{status.totals.collected:,}",
        session_summary(last, now) if last else "",
        time_until(status.next_session, now) if status.next_session else "",
        collect.get("interval", ""),
        f"{last.parked:,}" if last else "",
        _recipient(spec.get("recipient", {})),
        spec.get("destination", ""),
        ",".join(f"{key}={value}" for key, value in collector.metadata.labels.items()),
        spec.get("title", ""),
    )


def _recipient(recipient: dict[str, Any]) -> str:
    detect = recipient.get("detect", {})
    return recipient.get("forwardTo") or (
        f"detect {','.join(detect.get('from', ()))}" if detect else ""
    )


def ready_status(collector: ShownCollector) -> tuple[str, str]:
    """Return the status of the condition Ready and its reason. If the collector runs and something
    is wrong with it, return that as the reason."""
    found = {condition.type: condition for condition in collector.status.conditions}
    if "Ready" not in found:
        return "Unknown", ""
    verdict, stalled = found["Ready"], found.get("Stalled")
    if stalled is None or stalled.status != "True":
        return verdict.status, verdict.reason
    runs_on = stalled.reason in _RUN_ON and collector.status.loop_started_at is not None
    return verdict.status, f"{stalled.reason}, last good runs" if runs_on else stalled.reason


def _paint(column: str, cell: str) -> str:
    if column == "STATUS" and cell.rstrip().endswith("last good runs"):
        return click.style(cell, fg="yellow")
    if column != "READY":
        return cell
    return click.style(cell, fg=_COLOURS.get(escape(cell).split(maxsplit=1)[0]))
