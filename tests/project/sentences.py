"""The sentences that the program makes, as templates: what messages that reach the page can be."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "reconciler"
_ELSEWHERE = (
    "cli",
    "web/api",
    "web/metrics",
    "app/adapters.py",
    "app/process_setup.py",
    "app/run_command.py",
    "app/serve_daemon.py",
    "control/consistency_check.py",
    "control/daemon.py",
    "control/git_revision.py",
    "control/loop_state.py",
    "ledger/ledger_audit.py",
    "ledger/migrations",
    "manifests/checks/rule_catalogue.py",
    "manifests/editing/git_commit.py",
    "manifests/foreign",
    "manifests/reports",
    "manifests/schema_export",
    "manifests/templates/partial_models.py",
    "model/known_providers.py",
    "model/provider_classes.py",
    "model/refusal_meaning.py",
    "replies/reply_meaning.py",
    "replies/requested_waits.py",
    "replies/sourced_replies.py",
    "replies/vocabulary.py",
    "web/access/login_sessions.py",
    "web/access/token_file.py",
    "web/application.py",
    "web/http_connections.py",
    "web/http_server.py",
)
"""Modules whose texts only a terminal, the API or the log shows, or which the page translates
itself; and tables of what servers say."""
_WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? (?:[A-Za-z]{2,}|a\b|\{)|\} [a-z]{2,}")
_NO_SENTENCE = re.compile(
    r"\(?(?:UID|PRAGMA|BEGIN|AUTH|RCPT TO|MAIL FROM|AND|SELECT|CREATE|-----BEGIN|USER and)\b"
    r"|<|n,a=|user=|.*\w\|\w|(?:could not find|did not find|found|mapping values)\b"
)
"""What begins like this is said to a server or a database, or is a table of words, or what libyaml
says."""
_NOT_SHOWN = {
    "            … {0} lines left out …",
    "Done: close this page, and go back to the terminal.",
    "No consent was given. Close this page, and go back to the terminal.",
    "This document.",
    "Value error, ",
    "a pinned certificate is checked by the socket",
    "defect in the API",
    "inline secrets: {0}, policy: {1}",
    "mailcollector policy",
    "tab character",
    "text/html; charset=utf-8",
    "the schema has no MailCollector",
    "the statement takes its values in another order",
    "there is always a next number",
    "would collect {0} of {1} messages, leave {2} for later, and {3}",
    "{0} and {1}",
    "{0} collector {1}",
    "{0} {1} collectors",
    "{0}{1}\n\\ No newline at end of file\n",
}
"""Names, texts for terminals, and what `check_words` translates with its numbers."""
_LOGGING = {"log", "logger", "re"}


@functools.cache
def templates() -> set[str]:
    """Return the texts with two words or more, without doc strings and what is logged. Of the page
    itself: its errors, without those that gettext translates.

    The values of an f-string are `{0}`, `{1}` and so on.
    """
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name, tree = str(path.relative_to(PACKAGE)), ast.parse(path.read_text())
        if name.startswith("web/page"):
            parts: list[ast.AST] = [one for one in ast.walk(tree) if isinstance(one, ast.Raise)]
        else:
            parts = [] if name.startswith(_ELSEWHERE) else [tree]
        apart = _docstrings(tree)
        found |= {text for part in parts for text in _texts(part, apart) if _is_sentence(text)}
    return found - _NOT_SHOWN


def _is_sentence(text: str) -> bool:
    return bool(_WORDS.search(text)) and not _NO_SENTENCE.match(text)


def _docstrings(tree: ast.AST) -> set[int]:
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _texts(node: ast.AST, apart: set[int]) -> Iterator[str]:
    if id(node) in apart or _is_apart(node):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield _numbered(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield _template(node)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _texts(part.value, apart)
    else:
        for below in ast.iter_child_nodes(node):
            yield from _texts(below, apart)


def _numbered(text: str) -> str:
    """Return the text of a later `format` with its values numbered."""
    head, *rest = text.split("{}")
    return head + "".join(f"{{{number}}}{part}" for number, part in enumerate(rest))


def _template(node: ast.JoinedStr) -> str:
    text, count = "", 0
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        else:
            text += f"{{{count}}}"
            count += 1
    return text


def _is_apart(node: ast.AST) -> bool:
    """Return whether this is a call of the log, of gettext or of a regular expression's
    compiler."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    called = node.func
    is_log = isinstance(called.value, ast.Name) and called.value.id in _LOGGING
    return is_log or called.attr == "gettext"
