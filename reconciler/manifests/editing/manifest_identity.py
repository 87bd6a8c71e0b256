"""Whether a text is the one manifest that a change is about: of a collector, and of this one."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.manifests.diagnostics import START, Diagnostic, Position
from reconciler.manifests.yaml import document_reader
from reconciler.manifests.yaml.document_nodes import Document
from reconciler.model.scalar_types import is_name

KIND = "MailCollector"
_OTHER_KINDS = ("Destination", "Template")


def identity_errors(own: str, file: str, name: str | None = None) -> tuple[Diagnostic, ...]:
    """Return what keeps a text from being one manifest of a collector, and of the collector `name`
    where one is given. The other checks tell more of a text without a manifest, of one that is no
    YAML, and of an impossible kind or name."""
    found, unusable = document_reader.read(own.encode())
    if unusable or not found:
        return ()
    if len(found) > 1:
        return (
            Diagnostic.error(
                file,
                found[1].root.position,
                "",
                "several-manifests",
                f"another manifest begins here, the second of {len(found)}: give one manifest, "
                "in one YAML document, and send the others by themselves",
            ),
        )
    return tuple(_of_another(found[0], file, name))


def _of_another(found: Document, file: str, name: str | None) -> Iterator[Diagnostic]:
    kind, called = found.at(("kind",)), found.at(("metadata", "name"))
    if kind and kind.value in _OTHER_KINDS:
        yield Diagnostic.error(
            file,
            kind.position,
            "kind",
            "other-manifest",
            f"the kind {kind.value} is another one than a collector's: write `kind: {KIND}`, or "
            "change the file of the other kind itself",
        )
    other = called.value if called else None
    if called and name and isinstance(other, str) and is_name(other) and other != name:
        yield Diagnostic.error(
            file,
            called.position,
            "metadata.name",
            "other-manifest",
            f"this is the manifest of `{name}`: write `name: {name}`. For another name, add "
            f"`{other}` as a new collector, and remove `{name}`",
        )


def lost_manifest(file: str, name: str) -> Diagnostic:
    """Return the error of a file that declares a collector no longer."""
    return Diagnostic.error(
        file,
        START,
        "",
        "other-manifest",
        f"nothing here is the {KIND} `{name}` any more: keep its `kind` and `metadata.name`",
    )


def place_of_name(own: str) -> tuple[Position, str]:
    """Return where a manifest says its name, and the path of that; its start where it does not."""
    found, _ = document_reader.read(own.encode())
    path = ("metadata", "name")
    if found and found[0].at(path):
        return found[0].place(path), ".".join(path)
    return START, ""
