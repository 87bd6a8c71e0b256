"""What is decided, and which of it counts as new."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.control.decision_recorder import Decision, DecisionRecorder
from reconciler.control.observation import Observation
from reconciler.planning.observed_manifests import Declaration
from tests.control.doubles import MemoryRegistry
from tests.planning.build import collector, destination, observed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def look(*declarations: Declaration) -> Observation:
    return Observation(observed(*declarations), (), None, frozenset(), frozenset(), changed=True)


def test_what_was_parked_is_tried_again_when_the_mail_goes_elsewhere() -> None:
    """Also where the collector's own spec, and so its generation, stays as it is."""
    recorder = DecisionRecorder(MemoryRegistry())
    recorder.recall()
    declared = collector("a", destination="d")

    def decided(path: str) -> Decision:
        return recorder.decide(look(declared, destination("d", maildir={"path": path})), NOW)

    versions = [decided(path).versions["a"] for path in ("/a/{local}", "/a/{local}", "/b/{local}")]
    assert [version.generation for version in versions] == [1, 1, 1]
    assert [version.fresh for version in versions] == [True, False, True]
