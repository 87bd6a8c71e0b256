"""A manifest file as the control loop keeps it: parsed, with its declarations for planning."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reconciler.manifests.loading import ParsedFile, result_of_defect
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.planning.observed_manifests import Declaration, Key, declare


class DeclaredFile(Struct, frozen=True):
    """A parsed file and its declarations. `unreadable` says why it could not be read."""

    parsed: ParsedFile
    declarations: tuple[Declaration, ...] = ()
    unreadable: str = ""

    def named(self) -> Iterator[ManifestSummary]:
        """Return every manifest of a known name, valid or not."""
        return self.parsed.named()

    def keys(self) -> Iterator[Key]:
        """Return kind and name of what is declared, valid or not."""
        yield from (found.key for found in self.declarations)
        yield from ((broken.kind, broken.name) for broken in self.parsed.broken)


def declared_file(parsed: ParsedFile) -> DeclaredFile:
    """Return the file with its declarations. A defect of ours is a diagnostic of the file."""
    try:
        return DeclaredFile(
            parsed,
            tuple(
                declare(found.manifest, found.file, found.line, found.base)
                for found in parsed.manifests
            ),
        )
    except Exception as defect:  # noqa: BLE001  # as for what `parse` fails to read
        return DeclaredFile(result_of_defect(parsed.file, defect))
