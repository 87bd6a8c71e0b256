"""Log the manifests that become invalid or valid again. A load that changes nothing logs
nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from reconciler.control.observation import Observation
from reconciler.log import log
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.planning.desired_state import Desired
from reconciler.planning.version_choice import HELD, INVALID, UNREADABLE

_NAMED = 10
"""The number of collectors that a line names; the others are counted."""


class DiagnosticsLog:
    """One line for each file: the first error, how many there are, and what that means for its
    collectors."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[Diagnostic, int]] = {}
        self._held: frozenset[str] = frozenset()

    def log_changes(self, observation: Observation, desired: Desired) -> None:
        """Warn of what is wrong now and was not, or otherwise."""
        now = _first_errors(observation.diagnostics)
        consequences = _consequences(observation, desired) if now else {}
        for file, (first, count) in now.items():
            if self._logged.get(file) != (first, count):
                log.warning(
                    "invalid",
                    manifest=f"{first.file}:{first.line}:{first.column}",
                    rule=first.rule,
                    error=first.message,
                    **({"errors": count} if count > 1 else {}),
                    **consequences.get(file, {}),
                )
        for file in self._logged.keys() - now.keys():
            log.info("mended", manifest=file)
        self._logged = now
        self._log_held(desired)

    def _log_held(self, desired: Desired) -> None:
        held = {
            name: found.problem.message
            for name, found in desired.collectors.items()
            if found.problem is not None and found.problem.reason == HELD
        }
        if held and held.keys() != self._held:
            log.warning("held", collectors=_listed(held), reason=next(iter(held.values())))
        self._held = frozenset(held)


def _first_errors(diagnostics: Iterable[Diagnostic]) -> dict[str, tuple[Diagnostic, int]]:
    errors = [found for found in diagnostics if found.is_error]
    counts = Counter(found.file for found in errors)
    first: dict[str, Diagnostic] = {}
    for found in errors:
        first.setdefault(found.file, found)
    return {file: (found, counts[file]) for file, found in first.items()}


def _consequences(observation: Observation, desired: Desired) -> Mapping[str, dict[str, str]]:
    """Return for each file which collectors go on with their last good version, and which are
    Stalled."""
    runs: dict[str, set[str]] = defaultdict(set)
    stalled: dict[str, set[str]] = defaultdict(set)
    for broken in observation.observed.broken:
        if broken.kind == "MailCollector":
            (runs if broken.name in desired.collectors else stalled)[broken.file].add(broken.name)
    for name, found in desired.collectors.items():
        if found.problem is not None and found.problem.reason in {INVALID, UNREADABLE}:
            runs[found.file].add(name)
    return {
        file: {
            key: _listed(names)
            for key, names in (("last_good_runs", runs[file]), ("stalled", stalled[file]))
            if names
        }
        for file in {*runs, *stalled}
    }


def _listed(names: Iterable[str]) -> str:
    first = sorted(names)
    more = len(first) - _NAMED
    return ", ".join(first[:_NAMED]) + (f" and {more} more" if more > 0 else "")
