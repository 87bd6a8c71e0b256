"""The accounts of another tool's configuration, and their conversion into manifests."""

from __future__ import annotations

import itertools
import os.path
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imapclient import imap_utf7
from msgspec import Struct
from pydantic import ValidationError

from reconciler.manifests.editing.new_manifests import collector, destination, filled
from reconciler.model.harmless_text import escape_unprintable
from reconciler.model.spec import DestinationSpec


class UnreadableConfiguration(Exception):
    """The configuration cannot be read from this line on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Note(Struct, frozen=True):
    """A note on a setting that is lost or changed in the conversion."""

    line: int
    message: str


@dataclass(slots=True)  # these two hide secrets from their repr
class ImportedAccount:
    """An account, as the spec of a future collector.

    `secret` is the password in the configuration, if any. `place` is the spec of its Destination,
    or None for the default.
    """

    line: int
    username: str
    host: str
    spec: dict[str, Any]
    secret: str | None = field(default=None, repr=False)
    place: dict[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)

    def note(self, line: int, message: str) -> None:
        """Add a note."""
        self.notes.append(Note(line, message))

    def take_secret(self, line: int, secret: str | None) -> None:
        """Set the password, with a note if no login can use it."""
        self.secret = secret if secret and secret.strip() else None
        if secret is None:
            self.note(line, "it has no password: write it into the file that the manifest names")
        elif self.secret is None:
            self.note(line, "its password is empty: write it into the file that the manifest names")
        elif not secret.isprintable() and any(
            ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 for one in secret
        ):
            self.note(
                line,
                "its password has a line end or another control character, which no login can "
                "carry: correct the file that the manifest names",
            )


class ForeignConfiguration(Struct, frozen=True):
    """A whole configuration.

    `notes` are about no single account. `left_out` means that it has accounts that are not in
    `accounts`.
    """

    accounts: tuple[ImportedAccount, ...]
    notes: tuple[Note, ...] = ()
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class ImportedManifests:
    """The texts of manifests and their secrets, by file name. `places` has the file of each
    collector's Destination."""

    texts: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    places: Mapping[str, str | None] = field(default_factory=dict)

    def without(self, names: Iterable[str]) -> ImportedManifests:
        """Return the manifests without those of these collectors, their secrets, and Destinations
        that only they use."""
        out = set(names)
        places = {name: place for name, place in self.places.items() if name not in out}
        kept = {*places, *places.values()}
        return ImportedManifests(
            {name: text for name, text in self.texts.items() if name in kept},
            {name: secret for name, secret in self.secrets.items() if f"{name}.yaml" in kept},
            places,
        )


@dataclass(frozen=True, slots=True)
class Present:
    """What is declared already. `destinations` has the specs of the valid ones; `taken` the names
    of all others."""

    collectors: frozenset[str] = frozenset()
    destinations: Mapping[str, DestinationSpec] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()

    @property
    def has_default(self) -> bool:
        """Whether a Destination is marked as default."""
        return any(spec.default for spec in self.destinations.values())

    def destination(self, place: Mapping[str, Any]) -> str | None:
        """Return the name of the Destination that delivers to the same place, or None."""
        try:
            wanted = DestinationSpec.model_validate(filled(place))
        except ValidationError:  # an error of its manifest, which is told there
            return None
        return next(
            (
                name
                for name, spec in self.destinations.items()
                if spec.model_copy(update={"default": False}) == wanted
            ),
            None,
        )


NOTHING = Present()


def manifests(
    foreign: ForeignConfiguration,
    file: str,
    secrets: str,
    present: Present = NOTHING,
    *,
    modeline: str = "",
) -> ImportedManifests:
    """Return the manifests of all accounts, with their notes as comments at the top.

    `secrets` is the directory of the password files as it is written in the manifests. `modeline`
    is the comment for editors. A Destination that is `present` is used; a new one is marked as
    default only where none is.
    """
    names = set(present.collectors)
    texts: dict[str, str] = {}
    kept: dict[str, str] = {}
    used: dict[str, str | None] = {}
    places = _places(foreign.accounts, present)
    new = {name: spec for name, spec in places.items() if name not in present.destinations}
    for account in foreign.accounts:
        name = _name(account, names)
        names.add(name)
        source = dict(account.spec["source"])
        if "password" not in source and "oauth2" not in source:
            source["password"] = {"file": f"{secrets}/{name}"}
            if account.secret is not None:
                kept[name] = account.secret
        place = next((key for key, spec in places.items() if spec == account.place), None)
        used[f"{name}.yaml"] = _file_of(place) if place in new else None
        spec = {**account.spec, "source": source, "destination": place}
        comments = [
            escape_unprintable(text)
            for text in (
                f"From {file}:{account.line}.",
                *(f"{file}:{note.line}: {note.message}" for note in account.notes),
            )
        ]
        texts[f"{name}.yaml"] = collector(name, spec, comments=comments, modeline=modeline)
    destinations = {
        _file_of(name): destination(
            name,
            {"default": (number == 0 and not present.has_default) or None, **place_spec},
            modeline=modeline,
        )
        for number, (name, place_spec) in enumerate(new.items())
    }
    return ImportedManifests({**texts, **destinations}, kept, used)


def _file_of(place: str) -> str:
    return f"destination-{place}.yaml"


def _places(accounts: Iterable[ImportedAccount], present: Present) -> dict[str, dict[str, Any]]:
    """Return a name for each different Destination: that of one which is present, or a new one."""
    places: dict[str, dict[str, Any]] = {}
    for account in accounts:
        if account.place is not None and account.place not in places.values():
            known = present.destination(account.place)
            places[
                known or _new_place(account.place, {*places, *present.destinations, *present.taken})
            ] = account.place
    return places


def _new_place(place: Mapping[str, Any], taken: set[str]) -> str:
    name = f"imported-{next(iter(place))}"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def _name(account: ImportedAccount, taken: set[str]) -> str:
    """Return a new DNS label that describes the account."""
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


def folder(name: str) -> str:
    """Return the name of an IMAP folder, decoded from modified UTF-7 (RFC 3501, section 5.1.3) if
    possible."""
    try:
        decoded = imap_utf7.decode(name.encode("ascii"))
        return decoded if imap_utf7.encode(decoded) == name.encode("ascii") else name
    except (UnicodeError, ValueError):
        return name


def absolute_path(base: str, path: str | None) -> str | None:
    """Return a path of the other tool, which is relative to the directory of its configuration or
    to its user's home."""
    return path and os.path.join(base, os.path.expanduser(path))  # noqa: PTH111, PTH118


def address(name: str, domain: str) -> str:
    """Return the address of a local user."""
    return name if "@" in name else f"{name}@{domain}"


def nearest_timeout(seconds: int) -> tuple[str, str]:
    """Return the nearest time-out that a manifest allows (10s … 10m), and a note or ""."""
    bounded = f"{min(max(seconds, 10), 600)}s"
    near = 10 <= seconds <= 600
    return (
        bounded,
        "" if near else f"a timeout of 10 seconds to 10 minutes can be declared: it is {bounded}",
    )


def nearest_interval(seconds: int) -> str:
    """Return the nearest interval that a manifest allows (5s … 24h)."""
    bounded = min(max(seconds, 5), 86400)
    return f"{bounded // 60}m" if bounded % 60 == 0 else f"{bounded}s"
