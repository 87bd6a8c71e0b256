"""Collectors that only changed their name: what is known of the old one goes on under the new one.

Else everything on the server would count as new, and be collected again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from reconciler.manifests.effective_manifest import digest
from reconciler.model.manifest_secrets import without_secrets
from reconciler.model.spec import MailCollector
from reconciler.planning.observed_manifests import (
    Declaration,
    Key,
    ObservedManifests,
)


class Rename(Struct, frozen=True):
    """Of a new collector. `old`: the only one that it can have been; "" where none is, or more than
    one. `alike`: those that are declared no longer and collected from the same account. `awaits`:
    the old one has not ended yet."""

    old: str
    alike: tuple[str, ...]
    awaits: bool = False
    rivals: tuple[str, ...] = ()
    """Other new ones that are the same but for the name."""

    def consequence(self, new: str) -> str:
        """A sentence: what that means for the mail."""
        if self.old:
            return f"only its name changed: the history of {self.old} goes on as {new}"
        those = " and ".join(self.alike)
        why = "more than the name changed"
        if self.rivals:
            why = f"it might go on as {' or '.join(sorted((new, *self.rivals)))}"
        elif len(self.alike) > 1:
            why = "it is not clear whose it would be"
        return (
            f"collects again what {those} collected from this account: that history does not go along, for {why}; "
            "rename one collector at a time, and change nothing else of it"
        )


def find_renames(
    observed: ObservedManifests,
    remembered: Mapping[Key, Declaration],
    settled: Collection[str],
    names: Iterable[str],
) -> Mapping[str, Rename]:
    """Of the collectors `names` those that are new and have the account of one that is gone, or
    leaving. `settled`: all that count as declared."""
    declared = {
        found.name: found for found in observed.declarations if found.kind == "MailCollector"
    }
    new = [
        declared[name]
        for name in names
        if name in declared and ("MailCollector", name) not in remembered
    ]
    gone = [
        found
        for key, found in remembered.items()
        if new
        and key[0] == "MailCollector"
        and key[1] not in declared
        and (key[1] not in settled or key in observed.leaving)
    ]
    if not gone:
        return {}
    before, now = _by_account(gone), _by_account(new)
    waited_for = observed.ending | set(settled)
    return {
        one.name: _rename(one, those, before[account], waited_for)
        for account, those in now.items()
        if account in before
        for one in those
    }


def _rename(
    one: Declaration,
    new: Sequence[Declaration],
    gone: Sequence[Declaration],
    waited_for: Collection[str],
) -> Rename:
    """`new` and `gone` are those of its account."""
    print_ = _apart_from_names(one)
    same = tuple(other.name for other in gone if _apart_from_names(other) == print_)
    rivals = tuple(
        other.name for other in new if other is not one and _apart_from_names(other) == print_
    )
    if len(same) == 1 and not rivals:
        return Rename(same[0], same, awaits=same[0] in waited_for)
    return Rename("", same or tuple(other.name for other in gone), rivals=rivals if same else ())


def _by_account(
    declarations: Iterable[Declaration],
) -> dict[tuple[str, str, int, str], list[Declaration]]:
    found: dict[tuple[str, str, int, str], list[Declaration]] = {}
    for declaration in declarations:
        found.setdefault(_account(declaration), []).append(declaration)
    return found


def _account(declaration: Declaration) -> tuple[str, str, int, str]:
    manifest = declaration.effective
    assert isinstance(manifest, MailCollector)  # noqa: S101  # the caller asks for collectors only
    source = manifest.spec.source
    return source.protocol, source.host, source.effective_port, source.username


def _apart_from_names(declaration: Declaration) -> str:
    """The digest of all that the collector does. Secrets that stand in the manifest are known to
    nobody later on."""
    manifest = declaration.effective
    assert isinstance(manifest, MailCollector)  # noqa: S101  # the same
    return digest(without_secrets(manifest.spec.model_copy(update={"title": None})))
