"""Collectors as they are shown, for what is drawn of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.control.admission import AdmissionCounts
from reconciler.control.service_figures import ServiceFigures
from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.model.outcomes import Failure, Outcome, SessionReport, Totals
from reconciler.model.status import (
    Condition,
    ShownCollector,
    ShownMetadata,
    ShownSession,
    Status,
)

NOW = datetime.now(UTC)
REFUSED = Failure("AuthenticationFailed", "canary: the server refused the login")


def report(failure: Failure | None = None, **counts: Any) -> SessionReport:
    outcome = Outcome.FAILED if failure else Outcome.SUCCEEDED
    return SessionReport(NOW - timedelta(seconds=2), NOW, outcome, error=failure, **counts)


def collector(
    name: str,
    host: str = "imap.example.org",
    *,
    ready: str = "True",
    stalled: str = "False",
    reason: str = "Collected",
    last: SessionReport | None = None,
    provider: str | None = None,
) -> ShownCollector:
    conditions = tuple(
        Condition.model_validate(
            {"type": kind, "status": status, "reason": reason, "lastTransitionTime": NOW}
        )
        for kind, status in (("Ready", ready), ("Reconciling", "False"), ("Stalled", stalled))
    )
    source = {"host": host, "port": 993} | ({"provider": provider} if provider else {})
    return ShownCollector(
        metadata=ShownMetadata(name=name),
        spec={"source": source, "collect": {"interval": "5m"}},
        status=Status(
            conditions=conditions,
            next_session=NOW + timedelta(minutes=5),
            last_session=ShownSession.of(last or report(listed=3, collected=3)),
            totals=Totals(7, 21, 1, 20, 9000),
        ),
    )


def snapshot(*collectors: ShownCollector, figures: ServiceFigures | None = None) -> ServiceSnapshot:
    return ServiceSnapshot(
        collectors,
        (),
        figures or ServiceFigures(),
        AdmissionCounts(32, 2, 5, 3),
        0,
        NOW,
        trouble=False,
    )
