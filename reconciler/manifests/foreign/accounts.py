"""What a foreign configuration declares, on its way to manifests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """A whole configuration; `notes` are about none of its accounts."""

    accounts: tuple[Account, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifests:
    """By file name: the texts of the manifests, and the secrets that they refer to."""

    texts: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


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
        if "password" not in source:
            source["password"] = {"file": f"{secrets}/{name}"}
            if account.secret is not None:
                kept[name] = account.secret
        place = next((key for key, spec in places.items() if spec == account.place), None)
        spec = {**account.spec, "source": source, "destination": place}
        comments = [f"From {file}:{account.line}.", *(f"{file}:{note.line}: {note.message}" for note in account.notes)]
        texts[f"{name}.yaml"] = collector(name, spec, comments=comments, modeline=modeline)
    for number, (name, place_spec) in enumerate(places.items()):
        texts[f"destination-{name}.yaml"] = destination(name, {"default": number == 0 or None, **place_spec},
                                                        modeline=modeline)
    return Manifests(texts, kept)


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


def address(name: str, domain: str) -> str:
    """A local user as an address."""
    return name if "@" in name else f"{name}@{domain}"


def interval(seconds: int) -> str:
    """As near as a manifest can say it: 5s … 24h."""
    bounded = min(max(seconds, 5), 86400)
    return f"{bounded // 60}m" if bounded % 60 == 0 else f"{bounded}s"
