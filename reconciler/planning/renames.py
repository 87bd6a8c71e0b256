"""Find collectors that only changed their name: the history continues under the new name.

Otherwise everything on the server would count as new, and be collected again.
"""

from __future__ import annotations

from collections import Counter
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
    """The possible earlier name of a new collector. `old` is the only possible one; "" where there
    is none, or more than one. `alike` are those that are no longer declared and collected from the
    same account. `awaits`: the old one has not ended yet. `rivals` are other new ones that differ
    in the name alone."""

    old: str
    alike: tuple[str, ...]
    awaits: bool = False
    rivals: tuple[str, ...] = ()
    declared_before: str = ""
    """The digest of the spec that `old` was declared with last. It identifies the history that has
    this name."""

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
    """Return, by name, the new ones among the collectors `names` that have the account of a removed
    or leaving one; and those that exchanged names. `counted`: all that count as declared."""
    declared = {
        found.name: found for found in observed.declarations if found.kind == "MailCollector"
    }
    present = [declared[name] for name in names if name in declared]
    new = [one for one in present if one.key not in last_good]
    changed = changed_declarations(present, last_good)
    gone = [
        found
        for key, found in last_good.items()
        if (new or changed)
        and key[0] == "MailCollector"
        and key[1] not in declared
        and (key[1] not in counted or key in observed.leaving)
    ]
    exchanged = find_exchanges(changed, last_good, new, gone)
    if not gone and not exchanged:
        return {}
    before, now = _by_account(gone), _by_account(new)
    waited_for = observed.ending | set(counted)
    found = {
        one.name: _rename(one, those, before[account], waited_for)
        for account, those in now.items()
        if account in before
        for one in those
    }
    away = {one.name for one in gone}
    awaits = any(
        old in (waited_for if old in away else observed.ending) or name in observed.ending
        for name, old in exchanged.items()
    )
    for name, old in exchanged.items():
        was = last_good["MailCollector", old].digest
        found[name] = Rename(old, (old,), awaits=awaits, declared_before=was)
    return found


def changed_declarations(
    present: Iterable[Declaration], last_good: Mapping[Key, Declaration]
) -> list[Declaration]:
    """Return those of the collectors that were declared otherwise before."""
    return [
        one
        for one in present
        if (before := last_good.get(one.key)) is not None
        and before.effective_digest != one.effective_digest
    ]


def find_exchanges(
    changed: Sequence[Declaration],
    last_good: Mapping[Key, Declaration],
    new: Sequence[Declaration] = (),
    gone: Sequence[Declaration] = (),
) -> Mapping[str, str]:
    """Return the histories that change their names (new to old), because existing collectors
    exchanged names or each took the next one's.

    Each must equal exactly one other as that was declared before, except for name and title. If one
    history finds no name in this way, none is moved.
    """
    if not changed:
        return {}
    before = _by_account([*(last_good[one.key] for one in changed), *gone])
    moves: dict[str, str] = {}
    for one in (*changed, *new):
        others = [old for old in before.get(_account(one), ()) if old.name != one.name]
        if not others or _is_only_titled_anew(one, last_good):
            continue
        same = [old for old in others if _apart_from_names(old) == _apart_from_names(one)]
        if len(same) == 1:
            moves[one.name] = same[0].name
    times = Counter(moves.values())
    moves = {name: old for name, old in moves.items() if times[old] == 1}
    there = {one.name for one in changed}
    while open_ends := [
        name
        for name, old in moves.items()
        if (name in there and name not in moves.values()) or (old in there and old not in moves)
    ]:
        for name in open_ends:
            del moves[name]
    return moves if there.intersection(moves) else {}


def _is_only_titled_anew(one: Declaration, last_good: Mapping[Key, Declaration]) -> bool:
    before = last_good.get(one.key)
    return before is not None and _apart_from_names(before) == _apart_from_names(one)


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
