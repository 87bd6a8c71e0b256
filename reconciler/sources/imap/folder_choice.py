"""Choose the server's folders that a manifest names.

On the server a folder's name is octets: mostly modified UTF-7 (RFC 3501, section 5.1.3) or UTF-8.
The server chooses the delimiter, and perhaps a prefix such as `INBOX.` (RFC 2342). In a manifest
the name is text with `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from reconciler.model.folder_patterns import Pattern, is_pattern
from reconciler.sources.imap.fetch_responses import TaggedCompletion
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.imap_strings import decode_utf7, unescaped
from reconciler.sources.imap.response_reader import UntaggedResponse

_UNSUITED = {"\\ALL", "\\ALLMAIL", "\\TRASH", "\\JUNK", "\\SPAM", "\\DRAFTS"}
"""Attributes (RFC 6154, XLIST) of folders that no pattern matches."""
_UNSELECTABLE = {"\\NOSELECT", "\\NONEXISTENT"}
_LINE = re.compile(
    rb'\(([^()]*)\)\s*(NIL|""|"\\\\?"|"[^"]"|[^\s"(])[ \t]+(.+)', re.IGNORECASE | re.DOTALL
)
"""Attributes, delimiter, name. The delimiter may be unquoted, or a backslash that is not
escaped."""
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(?:\s+\(.*)?', re.DOTALL)
_EXTENDED = re.compile(rb'\s\("?(?:CHILDINFO|OLDNAME)[ "]', re.IGNORECASE)
"""Data that may follow an unquoted name (RFC 5258, section 6; RFC 9051, section 6.3.9.7)."""
_COUNTED = re.compile(rb"~?\{\d+[+-]?\}(?:\s*\(.*|\s*)?", re.DOTALL)
_LONGEST = 1000
"""Octets of a folder's name."""
MOST = 2000
"""Folders of one collector."""
_PERSONAL = re.compile(
    rb'\( *\( *"((?:[^"\\]++|\\.)*+)" +(NIL|"(?:\\.|[^"\\])")', re.IGNORECASE | re.DOTALL
)


class ServerFolder(Struct, frozen=True):
    """A folder of a LIST response."""

    raw: bytes
    """The octets of its name."""
    delimiter: str
    """One character, or "" where it has none."""
    attributes: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """The whole name as text, with `/` between the levels."""
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
"""Every account has it, even where LIST leaves it out (RFC 3501, section 5.1)."""


class ChosenFolders(Struct, frozen=True):
    """The folders to collect from."""

    folders: dict[str, ServerFolder]
    """By the names that manifests and the ledger use."""
    notes: tuple[str, ...]
    """Sentences about declared folders that were not found."""


def decoded(raw: bytes) -> str:
    """Return modified UTF-7 or UTF-8 as text; other octets become \\xNN (hazard I22).

    The text has no NUL and no half of a surrogate pair, which databases refuse.
    """
    try:
        text = decode_utf7(raw) if raw.isascii() else raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00")


def choose_folders(
    client: ImapClient, declared: Sequence[str], failures: ImapRefusals
) -> ChosenFolders:
    """Choose folders while they are listed, as there may be very many.

    Raises the error of the refusal where the server lists none.
    """
    choice = FolderChoice(declared, personal_prefix(client))
    completed = _list(client, choice)
    if not completed.ok:
        if not choice.heard:
            raise failures.refused("listing folders", completed.text)
        choice.note(f"the server broke off its list of folders: {failures.shown(completed.text)}")
    return choice.choice()


def _list(client: ImapClient, choice: FolderChoice) -> TaggedCompletion:
    """List all folders of the account, with their uses where the server knows them (RFC 6154)."""
    dialogue = client.dialogue
    verb, arguments = "LIST", ['""', '"*"']
    if "SPECIAL-USE" in dialogue.capabilities and "LIST-EXTENDED" in dialogue.capabilities:
        arguments += ["RETURN", "(SPECIAL-USE)"]
    elif "XLIST" in dialogue.capabilities and "SPECIAL-USE" not in dialogue.capabilities:
        verb = "XLIST"
    completed = dialogue.run(verb, *arguments, hear={verb: choice.take_response})
    plain = verb == "LIST" and len(arguments) == 2
    if completed.status == "BAD" and not plain:  # offered, and not understood
        return dialogue.run("LIST", '""', '"*"', hear={"LIST": choice.take_response})
    return completed


def parse_list(line: bytes, literal: bytes | None) -> ServerFolder | None:
    """Parse a LIST response after its first word (RFC 3501, section 7.2.2); None where impossible.

    A name without quotes is the whole rest of the line.
    """
    match = _LINE.fullmatch(line.strip(b" \t"))
    if match is None:
        return None
    attributes, delimiter, name = match.groups()
    raw = literal if literal is not None and _COUNTED.fullmatch(name) else _name(name)
    found = frozenset(attributes.decode("ascii", "replace").upper().split())
    return ServerFolder(raw, _separator(delimiter), found) if raw and len(raw) <= _LONGEST else None


def _name(written: bytes) -> bytes | None:
    if quoted := _QUOTED.fullmatch(written):
        return unescaped(quoted[1])
    if written.startswith(b'"') and written.endswith(b'"') and len(written) > 1:
        return written[1:-1]  # it has quotes in it that are not escaped
    if written.startswith(b'"') or written.upper() == b"NIL":
        return None
    extended = _EXTENDED.search(written)
    return written[: extended.start()].rstrip(b" \t") if extended else written


def _separator(delimiter: bytes) -> str:
    """Return the delimiter as one character, "" where there is none."""
    if delimiter.upper() == b"NIL":
        return ""
    bare = delimiter[1:-1] if delimiter.startswith(b'"') else delimiter
    return bare[-1:].decode("ascii", "replace")


def personal_prefix(client: ImapClient) -> str:
    """Return the prefix of every folder but INBOX, with `/` as delimiter (RFC 2342).

    It is mostly "", or "INBOX/".
    """
    if "NAMESPACE" not in client.dialogue.capabilities:
        return ""
    client.dialogue.run("NAMESPACE")
    namespaces = client.dialogue.untagged("NAMESPACE")
    match = _PERSONAL.match(namespaces[-1]) if namespaces else None
    return (
        ServerFolder(unescaped(match[1]), _separator(match[2])).path if match and match[1] else ""
    )


def choose(declared: Sequence[str], listed: Iterable[ServerFolder], prefix: str) -> ChosenFolders:
    """Choose from listed folders, each once: names first, then patterns.

    `*` stands for any text, `%` for any text without `/`.
    """
    choice = FolderChoice(declared, prefix)
    for folder in listed:
        choice.take(folder)
    return choice.choice()


class FolderChoice:
    """Keeps the chosen ones of the listed folders, at most `MOST` for each pattern."""

    def __init__(self, declared: Sequence[str], prefix: str) -> None:
        self._declared = declared
        self._prefix = prefix
        self._names = {short for name in declared for short in (name, name.removeprefix(prefix))}
        self._known: dict[str, ServerFolder] = {}
        self._patterns = {
            text: (Pattern(text), _Matched()) for text in declared if is_pattern(text)
        }
        self._raw: dict[str, bytes] = {}
        self._notes: list[str] = []
        self._unreadable = 0
        self._inbox = False
        self.heard = False

    def take_response(self, response: UntaggedResponse) -> None:
        """Take a LIST response."""
        self.heard = True
        literal = response.literals[0] if response.literals else None
        folder = parse_list(response.text, literal if isinstance(literal, bytes) else None)
        if folder is None:
            self._unreadable += 1
        else:
            self.take(folder)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def take(self, folder: ServerFolder) -> None:
        short = _short(folder, self._prefix)
        before = self._raw.get(short, folder.raw)
        if before.upper() == folder.raw.upper() == b"INBOX":
            if before != folder.raw:  # INBOX in another case (RFC 3501, section 5.1)
                return
        elif before != folder.raw:  # two names with the same text
            short = folder.raw.decode("utf-8", "backslashreplace")
        self._inbox = self._inbox or short == "INBOX"
        kept = short in self._names or short == "INBOX"
        if kept:
            self._known[short] = folder
        if folder.wanted:
            for pattern, matched in self._patterns.values():
                kept |= pattern.matches(short) and matched.take(short, folder)
        if kept:
            self._raw[short] = folder.raw

    def choice(self) -> ChosenFolders:
        """Return the choice, after all folders were taken."""
        if not self._inbox:
            self.take(INBOX)
        chosen: dict[str, ServerFolder] = {}
        too_many = 0
        for name in self._declared:
            found, more = self._named(name) or self._matching(name)
            too_many += more
            if not found:
                self.note(
                    f'no folder matches "{name}"'
                    if is_pattern(name)
                    else f'there is no folder "{name}"'
                )
            for short, folder in found.items():
                if not folder.selectable:
                    self.note(f'the folder "{short}" cannot hold messages')
                elif short in chosen or len(chosen) < MOST:
                    chosen.setdefault(short, folder)
                else:
                    too_many += 1
        if too_many:
            self.note(
                f"{too_many} folders more than the {MOST} that one collector may have are left out"
            )
        if self._unreadable and (self._patterns or self._notes):
            self.note(f"{self._unreadable} folders are listed in a way that cannot be read")
        return ChosenFolders(chosen, tuple(self._notes))

    def _named(self, name: str) -> tuple[dict[str, ServerFolder], int] | None:
        if name.upper() == "INBOX":
            return {"INBOX": self._known["INBOX"]}, 0
        for short in (name, name.removeprefix(self._prefix)):
            if short in self._known:
                return {short: self._known[short]}, 0
        return None

    def _matching(self, name: str) -> tuple[dict[str, ServerFolder], int]:
        if name not in self._patterns:
            return {}, 0
        matched = self._patterns[name][1]
        return dict(sorted(matched.folders.items())), matched.more


class _Matched:
    """The folders that a pattern matches: the first `MOST`, and the number of further ones."""

    def __init__(self) -> None:
        self.folders: dict[str, ServerFolder] = {}
        self.more = 0

    def take(self, short: str, folder: ServerFolder) -> bool:
        if short not in self.folders and len(self.folders) >= MOST:
            self.more += 1
            return False
        self.folders.setdefault(short, folder)
        return True


def _short(folder: ServerFolder, prefix: str) -> str:
    path = folder.path
    return (
        path[len(prefix) :]
        if prefix and path.startswith(prefix) and len(path) > len(prefix)
        else path
    )
