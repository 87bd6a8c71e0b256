"""Chooses the destination of a collector's mail."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from reconciler.model.spec import Destination, DestinationSpec
from reconciler.planning.observed_manifests import Declaration

BUILT_IN = "built-in"


class ChosenDestination(Struct, frozen=True):
    """A destination in force. `spec` is None for the built-in one. `missing`: there is no
    destination, and `complaint` says why."""

    name: str | None = None
    spec: DestinationSpec | None = None
    digest: str = BUILT_IN
    complaint: str = ""
    missing: bool = False


class Destinations:
    """The destinations in force.

    A removed Destination stays in force for the collectors that still name it, so that their mail
    is not delivered elsewhere. `kept` has the names of those that are still in use.

    The built-in one is used where none is declared. A Destination that was never valid still counts
    as declared. Otherwise its mail would be delivered elsewhere, and deleted on the server.
    """

    def __init__(
        self,
        declared: Mapping[str, Declaration],
        gone: Mapping[str, Declaration],
        never_valid: str = "",
        built_in_so_far: Collection[str] = (),
    ) -> None:
        """`never_valid`: the error of a Destination that was never valid; "" where there is none.
        `built_in_so_far`: collectors that keep the built-in one, to which their mail has gone so
        far."""
        self._declared = declared
        self._gone = gone
        self._never_valid = never_valid
        self._built_in_so_far = built_in_so_far
        self._default = _default(declared)
        self._chosen: dict[str | None, ChosenDestination] = {}
        self.kept: set[str] = set()

    def choose(self, name: str | None, collector: str = "") -> ChosenDestination:
        """Return the destination of a collector that names `name`, or names none."""
        if name is None and not self._declared and collector in self._built_in_so_far:
            return ChosenDestination()
        if name not in self._chosen:
            self._chosen[name] = self._choose(name)
        return self._chosen[name]

    def _choose(self, name: str | None) -> ChosenDestination:
        if name is None and not self._declared and not self._never_valid:
            return ChosenDestination()
        wanted = name or self._default
        if wanted in self._declared:
            return _chosen(self._declared[wanted])
        complaint = (
            f"no manifest declares the destination {name!r}"
            if name
            else self._never_valid
            if not self._declared
            else "it names no destination, and none of those declared is marked `default: true`"
        )
        last = name or _default(self._gone)
        if last in self._gone:
            self.kept.add(last)
            return _chosen(
                self._gone[last], f"{complaint}; the last good one, {last!r}, stays in use"
            )
        return ChosenDestination(name, complaint=complaint, missing=True)


def _default(declared: Mapping[str, Declaration]) -> str:
    """Return the name of the default destination, "" where there is none."""
    return next((name for name, found in declared.items() if _spec(found).default), "")


def _chosen(declaration: Declaration, complaint: str = "") -> ChosenDestination:
    return ChosenDestination(
        declaration.name, _spec(declaration), declaration.effective_digest, complaint
    )


def _spec(declaration: Declaration) -> DestinationSpec:
    assert isinstance(declaration.effective, Destination)  # noqa: S101  # the key's kind says so
    return declaration.effective.spec
