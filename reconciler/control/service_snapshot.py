"""The data of `/metrics`: the service as a whole at one moment, free of live objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.control.admission import AdmissionCounts
from reconciler.control.service_figures import ServiceFigures
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.status import ShownCollector


class ServiceSnapshot(Struct, frozen=True):
    """The service at one moment. `last_turn`: when the control loop moved last; `trouble`: the
    manifests are not acted upon now."""

    collectors: Sequence[ShownCollector]
    diagnostics: Sequence[Diagnostic]
    figures: ServiceFigures
    sessions: AdmissionCounts
    internal_errors: int
    last_turn: datetime | None
    trouble: bool
    paused: bool = False
