"""The output formats of `validate` for people, programs and CI."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from reconciler.manifests import manifest_files
from reconciler.manifests.diagnostics import Diagnostic, Severity
from reconciler.manifests.reports import junit, sarif
from reconciler.manifests.validation import Validation
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.model.harmless_text import escape_unprintable, json_text

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_GITLAB = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}
_WIDEST = 160
_LONGEST = 2_000
"""The greatest length of a source line that is shown, in characters."""
_VALUE = re.compile(r"""(?<!\w)(\w++)["']?[ \t]*+:[ \t]*+(?![ \t\r{])(?=.)""")
"""A key with a value in the same line, unless the value is a mapping."""
_SECRET_KEY = re.compile("pass|secret|token|^value$", re.IGNORECASE)
_UNSEEN = frozenset({"link-leads-out", "internal", "file-name"})
"""Rules whose diagnostics are not about a line."""


def text(validation: Validation, *, colour: bool = False) -> str:
    """Return text for people: each diagnostic with its source line, then a summary."""
    excerpts = _Excerpts(validation.given)
    blocks = [_block(diagnostic, excerpts, colour) for diagnostic in validation]
    return "\n".join([*blocks, _summary(validation)]) + "\n"


def _block(diagnostic: Diagnostic, excerpts: _Excerpts, colour: bool) -> str:
    severity = str(diagnostic.severity)
    if colour:
        severity = f"\x1b[1;{_COLOURS[diagnostic.severity]}m{severity}\x1b[0m"
    head = (
        f"{escape_unprintable(diagnostic.file)}:{diagnostic.line}:{diagnostic.column}: "
        f"{severity}: {diagnostic.message} "
        f"[{diagnostic.rule}]"
    )
    return "\n".join([head, *excerpts.of(diagnostic)])


class DiagnosticExcerpt(Struct, frozen=True):
    """A diagnostic with the line that it is about; "" where that cannot be shown."""

    found: Diagnostic
    line: str = ""
    mark: str = ""


def excerpts(diagnostics: Iterable[Diagnostic]) -> list[DiagnosticExcerpt]:
    """Return diagnostics as `validate` prints them. Reads the files as they are now."""
    files = _Excerpts({})
    return [DiagnosticExcerpt(one, *(line[4:] for line in files.of(one))) for one in diagnostics]


class _Excerpts:
    """The source lines of diagnostics. Each file is read once."""

    def __init__(self, given: Mapping[str, bytes]) -> None:
        self._given = given
        self._lines: dict[str, list[str]] = {}

    def of(self, diagnostic: Diagnostic) -> Iterator[str]:
        lines = [] if diagnostic.rule in _UNSEEN else self._of_file(diagnostic.file)
        if diagnostic.line > len(lines) or len(lines[diagnostic.line - 1]) > _LONGEST:
            return
        line, column = lines[diagnostic.line - 1], diagnostic.column - 1
        shown = escape_unprintable(_masked(line).replace("\t", " "))
        if line.strip() and len(shown) <= _WIDEST:
            yield f"    {shown}"
            yield f"    {' ' * len(escape_unprintable(line[:column].replace(chr(9), ' ')))}^"

    def _of_file(self, file: str) -> list[str]:
        if file not in self._lines:
            try:
                self._lines[file] = text_encoding.lines(text_encoding.decode(self._data(file)))
            except (manifest_files.Unreadable, UnusableDocument):
                self._lines[file] = []
        return self._lines[file]

    def _data(self, file: str) -> bytes:
        return self._given[file] if file in self._given else manifest_files.read(Path(file))


def _masked(line: str) -> str:
    """Return the line up to the first value that may be a secret."""
    for found in _VALUE.finditer(line):
        if _SECRET_KEY.search(found[1]):
            return f"{line[: found.end()]}…"
    return line


def _summary(validation: Validation) -> str:
    counts = {
        severity: sum(found.severity is severity for found in validation) for severity in Severity
    }
    files_read = _plural(len(validation.files), "file")
    if not any(counts.values()):
        return f"{_plural(validation.manifests, 'manifest')} in {files_read}: no errors"
    found = ", ".join(
        _plural(counts[severity], word)
        for severity, word in (
            (Severity.ERROR, "error"),
            (Severity.WARNING, "warning"),
            (Severity.INFO, "note"),
        )
        if counts[severity]
    )
    rules = list(dict.fromkeys(diagnostic.rule for diagnostic in validation))
    more = f"mailcollector explain {rules[0] if len(rules) == 1 else 'RULE'}"
    return f"{found} in {files_read}; `{more}` tells more"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def as_json(validation: Validation) -> str:
    """Return a JSON list of diagnostics."""
    return json_text([diagnostic.as_json() for diagnostic in validation]) + "\n"


def github(validation: Validation) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a pull request."""
    return "".join(
        f"::{_GITHUB[found.severity]} "
        f"file={_property(found.file)},line={found.line},col={found.column},"
        f"title={_property(found.rule)}::{_data(found.message)}\n"
        for found in validation
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(escape_unprintable(text)).replace(":", "%3A").replace(",", "%2C")


def gitlab(validation: Validation) -> str:
    """Return a Code Quality report (GitLab's subset of Code Climate's), which merge requests show
    beside the lines."""
    seen: Counter[str] = Counter()
    found = []
    for one in validation:
        identity = (
            f"{one.file}\0{one.path}\0{one.rule}\0{one.message}"  # without the line, which moves
        )
        seen[identity] += 1
        found.append(
            {
                "description": one.message,
                "check_name": one.rule,
                "severity": _GITLAB[one.severity],
                "fingerprint": hashlib.sha256(
                    f"{identity}\0{seen[identity]}".encode("utf-8", "replace")
                ).hexdigest(),
                "location": {"path": _relative(one.file), "lines": {"begin": one.line}},
            }
        )
    return json_text(found) + "\n"


def _relative(file: str) -> str:
    """Return a path relative to the current directory, which is the checkout's root in CI."""
    return os.path.relpath(file) if file != "-" else file


Reporter = Callable[[Validation], str]
REPORTERS: Mapping[str, Reporter] = {
    "text": text,
    "json": as_json,
    "github": github,
    "sarif": sarif.report,
    "junit": junit.report,
    "gitlab": gitlab,
}
"""The formats by their names for `--output`."""
