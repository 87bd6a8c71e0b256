"""Finds collectors that only changed their name: the history of the old one goes on under the new
name.

Otherwise everything on the server would count as new, and be collected again.
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
    """What a new collector may have been called before.

    `old` is the only collector that it can have been; "" where there is none, or more than one.
    `alike` are those that are declared no longer and collected from the same account. `awaits`: the
    old one has not ended yet. `rivals` are other new ones that are the same but for the name.
    """

    old: str
    alike: tuple[str, ...]
    awaits: bool = False
    rivals: tuple[str, ...] = ()

    def consequence(self, new: str) -> str:
        """Return a sentence about what that means for the mail of the collector `new`."""
        if self.old:
            return f"only its name changed: the history of {self.old} goes on as {new}"
        those = " and ".join(self.alike)
        why = "more than the name changed"
        if self.rivals:
            why = f"it might go on as {' or '.join(sorted((new, *self.rivals)))}"
        elif len(self.alike) > 1:
            why = "it is not clear whose it would be"
        return (
            f"collects again what {those} collected from this account: that history does not go "
            f"along, for {why}; rename one collector at a time, and change nothing else of it"
        )


def find_renames(
    observed: ObservedManifests,
    last_good: Mapping[Key, Declaration],
    counted: Collection[str],
    names: Iterable[str],
) -> Mapping[str, Rename]:
    """Return, by name, those of the collectors `names` that are new and have the account of one
    that is gone or leaving. `counted`: all that count as declared."""
    declared = {
        found.name: found for found in observed.declarations if found.kind == "MailCollector"
    }
    new = [
        declared[name]
        for name in names
        if name in declared and ("MailCollector", name) not in last_good
    ]
    gone = [
        found
        for key, found in last_good.items()
        if new
        and key[0] == "MailCollector"
        and key[1] not in declared
        and (key[1] not in counted or key in observed.leaving)
    ]
    if not gone:
        return {}
    before, now = _by_account(gone), _by_account(new)
    waited_for = observed.ending | set(counted)
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
    """Return what `one` may have been called. `new` and `gone` are the collectors of its
    account."""
    fingerprint = _apart_from_names(one)
    same = tuple(other.name for other in gone if _apart_from_names(other) == fingerprint)
    rivals = tuple(
        other.name for other in new if other is not one and _apart_from_names(other) == fingerprint
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
    """Return the digest of all that the collector does. Secrets that stand in a manifest are left
    out: the ledger does not keep them."""
    manifest = declaration.effective
    assert isinstance(manifest, MailCollector)  # noqa: S101  # the same
    return digest(without_secrets(manifest.spec.model_copy(update={"title": None})))
