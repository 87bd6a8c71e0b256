"""What a foreign configuration declares, on its way to manifests."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imapclient import imap_utf7
from msgspec import Struct

from reconciler.manifests.composing import collector, destination


class Unreadable(Exception):
    """The configuration cannot be understood from this line on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Note(Struct, frozen=True):
    """What is not carried over, or otherwise than it was."""

    line: int
    message: str


@dataclass(slots=True)  # these two hide secrets from their repr
class Account:
    """A collector to be. `secret` is its password where that stands in the configuration; `place` is the spec of its
    Destination, None for the default one."""

    line: int
    username: str
    host: str
    spec: dict[str, Any]
    secret: str | None = field(default=None, repr=False)
    place: dict[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)

    def note(self, line: int, message: str) -> None:
        self.notes.append(Note(line, message))


class Foreign(Struct, frozen=True):
    """A whole configuration; `notes` are about none of its accounts. `left_out`: there are accounts in it that are not
    among these."""

    accounts: tuple[Account, ...]
    notes: tuple[Note, ...] = ()
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Manifests:
    """By file name: the texts of the manifests, and the secrets that they refer to. `places`: those of Destinations."""

    texts: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    places: frozenset[str] = frozenset()

    def without(self, names: Iterable[str]) -> Manifests:
        """All but these collectors' files, and their secrets."""
        out = set(names)
        return Manifests({name: text for name, text in self.texts.items() if name not in out},
                         {name: secret for name, secret in self.secrets.items() if f"{name}.yaml" not in out},
                         self.places)


def manifests(foreign: Foreign, file: str, secrets: str, taken: Iterable[str] = (), *, modeline: str = "") -> Manifests:
    """Each account's manifest, with the notes on top; `secrets` is the directory of the password files as the manifests
    are to say it, `taken` are names that exist already, `modeline` is the comment for editors."""
    names = set(taken)
    texts: dict[str, str] = {}
    kept: dict[str, str] = {}
    places = _places(foreign.accounts)
    for account in foreign.accounts:
        name = _name(account, names)
        names.add(name)
        source = dict(account.spec["source"])
        if "password" not in source and "oauth2" not in source:
            source["password"] = {"file": f"{secrets}/{name}"}
            if account.secret is not None:
                kept[name] = account.secret
        place = next((key for key, spec in places.items() if spec == account.place), None)
        spec = {**account.spec, "source": source, "destination": place}
        comments = [_one_line(text) for text in (
            f"From {file}:{account.line}.", *(f"{file}:{note.line}: {note.message}" for note in account.notes))]
        texts[f"{name}.yaml"] = collector(name, spec, comments=comments, modeline=modeline)
    destinations = {f"destination-{name}.yaml": destination(name, {"default": number == 0 or None, **place_spec},
                                                            modeline=modeline)
                    for number, (name, place_spec) in enumerate(places.items())}
    return Manifests({**texts, **destinations}, kept, frozenset(destinations))


def _places(accounts: Iterable[Account]) -> dict[str, dict[str, Any]]:
    """A name for each different Destination."""
    places: dict[str, dict[str, Any]] = {}
    for account in accounts:
        if account.place is not None and account.place not in places.values():
            sort = next(iter(account.place))
            count = sum(name.startswith(f"imported-{sort}") for name in places)
            places[f"imported-{sort}" + (f"-{count + 1}" if count else "")] = account.place
    return places


def _name(account: Account, taken: set[str]) -> str:
    """A DNS label that tells the account."""
    short = _label(account.username.partition("@")[0])
    for candidate in (short, _label(f"{account.username.partition('@')[0]}-{account.host}")):
        if candidate and candidate not in taken:
            return candidate
    number = 2
    while (name := f"{(short or 'account')[:58]}-{number}") in taken:
        number += 1
    return name


def _label(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def _one_line(text: str) -> str:
    """A comment ends where the line does, so nothing of a stranger's may end it."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def folder(name: str) -> str:
    """The name of an IMAP folder that stands there as the server spells it: in modified UTF-7 (RFC 3501, section
    5.1.3), if it is that."""
    try:
        decoded = imap_utf7.decode(name.encode("ascii"))
        return decoded if imap_utf7.encode(decoded) == name.encode("ascii") else name
    except (UnicodeError, ValueError):
        return name


def found_from(base: str, path: str | None) -> str | None:
    """A path of the other tool's, which meant it from its own file's directory, or from its user's home."""
    return path and os.path.join(base, os.path.expanduser(path))  # noqa: PTH111, PTH118  # paths are text here


def address(name: str, domain: str) -> str:
    """A local user as an address."""
    return name if "@" in name else f"{name}@{domain}"


def interval(seconds: int) -> str:
    """As near as a manifest can say it: 5s … 24h."""
    bounded = min(max(seconds, 5), 86400)
    return f"{bounded // 60}m" if bounded % 60 == 0 else f"{bounded}s"
