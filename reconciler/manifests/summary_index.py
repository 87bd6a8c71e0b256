"""Where manifests stand, by kind and name: so that thousands of files need not be searched for
each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from reconciler.manifests.checks.cross_file_checks import HasSummaries
from reconciler.manifests.manifest_summary import ManifestSummary

Identity = tuple[str, str]
"""Kind and name."""
_Trait = tuple[str, str | None]
_DEFAULT: _Trait = ("destination", None)


class SummaryIndex:
    """The manifests of files, valid or not, whose names could be read."""

    def __init__(self, files: Iterable[tuple[str, HasSummaries]]) -> None:
        self._places: dict[Identity, list[tuple[str, ManifestSummary]]] = {}
        self._with_destinations: set[str] = set()
        self._sharing: dict[_Trait, list[str]] = {}
        """The files of the collectors that have something in common; one file may be there
        twice."""
        self._used: Counter[_Trait] = Counter()
        """How many collectors use each Destination and Template."""
        for file, content in files:
            for one in content.named():
                self._places.setdefault((one.kind, one.name), []).append((file, one))
                self._used.update(_used_by(one))
                for trait in _shared_by(one):
                    self._sharing.setdefault(trait, []).append(file)
                if one.kind == "Destination":
                    self._with_destinations.add(file)

    def with_changes(
        self, changes: Iterable[tuple[str, HasSummaries | None, HasSummaries | None]]
    ) -> SummaryIndex:
        """Return the index after some files changed: each with its content before and after; None:
        no file."""
        other = SummaryIndex(())
        other._places = dict(self._places)
        other._with_destinations = set(self._with_destinations)
        other._sharing = dict(self._sharing)
        other._used = self._used.copy()
        for file, before, after in changes:
            other._with_destinations.discard(file)
            for one in before.named() if before else ():
                other._leave(file, one)
            for one in after.named() if after else ():
                other._come(file, one)
        return other

    def _leave(self, file: str, summary: ManifestSummary) -> None:
        identity = summary.kind, summary.name
        left = [place for place in self._places.get(identity, ()) if place[0] != file]
        if left:
            self._places[identity] = left
        else:
            self._places.pop(identity, None)
        self._used.subtract(list(_used_by(summary)))
        for trait in _shared_by(summary):
            sharing = list(self._sharing[trait])
            sharing.remove(file)
            self._sharing[trait] = sharing
            if not sharing:
                del self._sharing[trait]

    def _come(self, file: str, summary: ManifestSummary) -> None:
        identity = summary.kind, summary.name
        places = [*self._places.get(identity, ()), (file, summary)]
        self._places[identity] = sorted(places, key=lambda place: place[0].split("/"))
        self._used.update(_used_by(summary))
        for trait in _shared_by(summary):
            self._sharing[trait] = [*self._sharing.get(trait, ()), file]
        if summary.kind == "Destination":
            self._with_destinations.add(file)

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._places

    def places(self, kind: str, name: str) -> list[tuple[str, ManifestSummary]]:
        """Return where a manifest stands: nowhere, once, or several times by mistake."""
        return self._places.get((kind, name), [])

    def has_other(self, kind: str, name: str) -> bool:
        """Return whether there is a manifest of this kind with another name."""
        return any(key[0] == kind and key[1] != name for key in self._places)

    def of_kind(self, kind: str) -> list[ManifestSummary]:
        """Return all manifests of a kind, sorted by name."""
        return [
            one
            for identity in sorted(key for key in self._places if key[0] == kind)
            for _, one in self._places[identity]
        ]

    def beside(self, identities: Iterable[Identity]) -> set[str]:
        """Return the files by which the rules across files find errors in these collectors: those
        with Destinations, and those with manifests of the same name."""
        namesakes = {file for identity in identities for file, _ in self._places.get(identity, ())}
        return namesakes | self._with_destinations

    def sharing(self, collectors: Iterable[ManifestSummary]) -> set[str]:
        """Return the files of all collectors that have an account or a refresh token in common with
        one of these."""
        return {
            file
            for one in collectors
            for trait in _shared_by(one)
            for file in self._sharing.get(trait, ())
        }

    def uses_what(self, one: ManifestSummary) -> bool:
        """Return whether some collector uses the Destination of this one, or the default one; and
        some collector its Template."""
        return all(
            self._used[trait] > 0 or (trait[0] == "destination" and self._used[_DEFAULT] > 0)
            for trait in _used_by(one)
        )


def _used_by(one: ManifestSummary) -> Iterator[_Trait]:
    """Yield the Destination and the Template that a collector uses."""
    if one.kind == "MailCollector":
        yield ("destination", one.destination)
        if one.template is not None:
            yield ("template", one.template)


def _shared_by(one: ManifestSummary) -> Iterator[_Trait]:
    """Yield what a collector must not have in common with others."""
    if one.mailbox is not None:
        yield ("account", one.mailbox.account)
    if one.refresh_token is not None:
        yield ("token", one.refresh_token)
