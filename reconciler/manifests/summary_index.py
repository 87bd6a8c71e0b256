"""Where manifests stand, by kind and name: so that thousands of files need not be searched for
each."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.manifests.checks.cross_file_checks import HasSummaries
from reconciler.manifests.manifest_summary import ManifestSummary

Identity = tuple[str, str]
"""Kind and name."""


class SummaryIndex:
    """The manifests of files, valid or not, whose names could be read."""

    def __init__(self, files: Iterable[tuple[str, HasSummaries]]) -> None:
        self._places: dict[Identity, list[tuple[str, ManifestSummary]]] = {}
        self._with_destinations: set[str] = set()
        for file, content in files:
            for one in content.named():
                self._places.setdefault((one.kind, one.name), []).append((file, one))
                if one.kind == "Destination":
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
