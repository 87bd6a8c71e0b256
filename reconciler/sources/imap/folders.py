"""Which of the server's folders a manifest means.

On the server a folder's name is octets: mostly modified UTF-7 (RFC 3501, 5.1.3) or UTF-8, with a delimiter of its own
choice and perhaps below a prefix such as `INBOX.` (RFC 2342). In a manifest it is text with `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imapclient import imap_utf7
from msgspec import Struct

from reconciler.model.patterns import Pattern, is_pattern
from reconciler.sources.imap.dialogue import Client

_UNSUITED = {"\\ALL", "\\ALLMAIL", "\\TRASH", "\\JUNK", "\\SPAM", "\\DRAFTS"}
"""Never matched by a pattern: the attributes of RFC 6154 and those of XLIST."""
_UNSELECTABLE = {"\\NOSELECT", "\\NONEXISTENT"}
_LINE = re.compile(rb'\(([^()]*)\) (NIL|"(?:\\.|[^"\\])") (?:"((?:\\.|[^"\\])*)"|\{\d+\}|([^ "{][^ ]*))(?: \(.*\))?',
                   re.IGNORECASE | re.DOTALL)
_PERSONAL = re.compile(rb'\(\("((?:\\.|[^"\\])*)" (NIL|"(?:\\.|[^"\\])")', re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class ServerFolder(Struct, frozen=True):
    """A folder as LIST shows it; `raw` is its name on the wire."""

    raw: bytes
    delimiter: str
    attributes: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """Its whole name as text, with `/` between the levels."""
        text = decoded(self.raw)
        if text.upper() == "INBOX":
            return "INBOX"
        return text.replace(self.delimiter, "/") if self.delimiter else text

    @property
    def selectable(self) -> bool:
        return not self.attributes & _UNSELECTABLE

    @property
    def wanted(self) -> bool:
        """Whether patterns may match it."""
        return self.selectable and not self.attributes & _UNSUITED


INBOX = ServerFolder(b"INBOX", "")
"""Every account has it, whatever LIST says (RFC 3501, 5.1)."""


class Chosen(Struct, frozen=True):
    """The folders to collect from, by the names that manifests and the ledger use, and what was not found."""

    folders: dict[str, ServerFolder]
    notes: tuple[str, ...]


def decoded(raw: bytes) -> str:
    """Modified UTF-7 or UTF-8 as text; what is neither shows its octets (hazard I22)."""
    try:
        text = imap_utf7.decode(raw) if raw.isascii() else raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace")
    return text if text.isascii() or not raw.isascii() or imap_utf7.encode(text) == raw else raw.decode("ascii")


def list_folders(client: Client) -> list[ServerFolder]:
    """Every folder of the account, with what it is used for where the server tells (RFC 6154)."""
    offered = client.dialogue.capabilities
    verb, arguments = "LIST", ('""', '"*"')
    if "SPECIAL-USE" in offered and "LIST-EXTENDED" in offered:
        arguments += ("RETURN", "(SPECIAL-USE)")  # type: ignore[assignment]  # longer than before
    elif "XLIST" in offered and "SPECIAL-USE" not in offered:
        verb = "XLIST"
    completed = client.dialogue.run(verb, *arguments)
    if not completed.ok:
        raise client.Error(f"{verb} failed: {completed.text}")
    return [folder for line, literal in _lines(client.dialogue.untagged_responses.pop(verb, []))
            if (folder := parse_list(line, literal)) is not None]


def parse_list(line: bytes, literal: bytes | None) -> ServerFolder | None:
    """One LIST response after its name (RFC 3501, 7.2.2); None when it cannot be read."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    attributes, delimiter, quoted, atom = match.groups()
    name, separator = _unquoted(quoted or b"", delimiter)
    found = frozenset(attributes.decode("ascii", "replace").upper().split())
    raw = literal or name or atom
    return ServerFolder(raw, separator, found) if raw else None


def _unquoted(name: bytes, delimiter: bytes) -> tuple[bytes, str]:
    """A quoted name without its escapes, and the delimiter as a letter, "" for NIL."""
    separator = b"" if delimiter.upper() == b"NIL" else _ESCAPED.sub(rb"\1", delimiter[1:-1])
    return _ESCAPED.sub(rb"\1", name), separator.decode("ascii", "replace")


def personal_prefix(client: Client) -> str:
    """What stands before every folder but INBOX, `/` for the delimiter: "INBOX/", mostly "" (RFC 2342)."""
    if "NAMESPACE" not in client.dialogue.capabilities:
        return ""
    client.dialogue.run("NAMESPACE")
    told = client.dialogue.untagged("NAMESPACE")
    match = _PERSONAL.match(told[-1]) if told else None
    return ServerFolder(*_unquoted(*match.groups())).path if match and match[1] else ""


def choose(declared: Sequence[str], listed: Iterable[ServerFolder], prefix: str) -> Chosen:
    """Names first, then patterns: `*` stands for anything, `%` for anything but `/`. Each folder once."""
    known = {_short(folder, prefix): folder for folder in listed}
    known.setdefault("INBOX", INBOX)
    chosen: dict[str, ServerFolder] = {}
    notes: list[str] = []
    for name in declared:
        found = _named(name, known, prefix) or _matching(name, known)
        if not found:
            notes.append(f'no folder matches "{name}"' if is_pattern(name) else f'there is no folder "{name}"')
        for short, folder in found.items():
            if folder.selectable:
                chosen.setdefault(short, folder)
            else:
                notes.append(f'the folder "{short}" cannot hold messages')
    return Chosen(chosen, tuple(notes))


def _short(folder: ServerFolder, prefix: str) -> str:
    path = folder.path
    return path[len(prefix):] if prefix and path.startswith(prefix) and len(path) > len(prefix) else path


def _named(name: str, known: dict[str, ServerFolder], prefix: str) -> dict[str, ServerFolder]:
    if name.upper() == "INBOX":
        return {"INBOX": known["INBOX"]}
    for short in (name, name.removeprefix(prefix)):
        if short in known:
            return {short: known[short]}
    return {}


def _matching(text: str, known: dict[str, ServerFolder]) -> dict[str, ServerFolder]:
    if not is_pattern(text):
        return {}
    pattern = Pattern(text)
    return {name: folder for name, folder in sorted(known.items()) if folder.wanted and pattern.matches(name)}


def _lines(received: Iterable[bytes | tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes | None]]:
    """imaplib gives a literal as a pair, and what follows it as an item of its own."""
    for item in received:
        if isinstance(item, tuple):
            yield item
        elif item:
            yield item, None
