"""Check the account of a collector that is declared in a form and not saved yet."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.control.check_requests import CheckRequests, reported
from reconciler.control.manifest_drafts import ManifestChange, ManifestDraft
from reconciler.control.manifest_service import ManifestService
from reconciler.control.running_set import RunningSet
from reconciler.manifests.editing.manifest_editor import EditRefused
from reconciler.model.secret import Secret, redact
from reconciler.model.spec import SecretRef, SourceSpec
from reconciler.model.status import CheckReport
from reconciler.planning.desired_state import DesiredCollector


class DraftChecks:
    """Runs checks of drafts, in the same pool and with the same limits as the others."""

    def __init__(
        self,
        manifests: ManifestService,
        loops: RunningSet,
        checks: CheckRequests,
    ) -> None:
        self._manifests = manifests
        self._loops = loops
        self._checks = checks

    async def run(self, asked: ManifestChange, password: str = "") -> CheckReport:
        """Return what a session of the draft would find. A `password` that was typed is used for
        this check alone, and kept nowhere. Raises EditRefused for a draft that is not valid, and
        what `ManifestService.propose` raises."""
        found = (await self._manifests.propose(asked)).draft
        found.require_valid()
        collector = await self._desired(found)
        return await reported(collector.name, self._allowed_check(collector, password))

    async def _allowed_check(self, collector: DesiredCollector, password: str) -> CheckReport:
        if password:
            report = await self._checks.run_draft(_with_password(collector, password))
            return _without(password, report)
        if self._is_running(collector):
            self._loops.check_allowed(collector.name)
        return await self._checks.run_draft(collector)

    async def _desired(self, found: ManifestDraft) -> DesiredCollector:
        """Return the collector as it would be desired. Raises EditRefused where it could not
        run."""
        name = found.change.name
        after = await self._manifests.desired_after(found)
        collector = after.collectors.get(name)
        if collector is not None:
            return collector
        invalid = after.invalid.get(name)
        raise EditRefused(invalid.problem.message if invalid else "it could not run")

    def _is_running(self, draft: DesiredCollector) -> bool:
        """Return whether the account is that of the loop of this name. Then the loop's back-off
        holds for it too."""
        running = self._loops.actual([draft.name]).get(draft.name)
        return running is not None and _login(running) == _login(draft)


def _with_password(collector: DesiredCollector, password: str) -> DesiredCollector:
    """Return the collector with the password in its spec, which is checked and then forgotten."""
    source: SourceSpec = collector.effective.source.model_copy(
        update={"password": SecretRef(value=password), "oauth2": None}
    )
    effective = collector.effective.model_copy(update={"source": source})
    return replace(collector, effective=effective)


def _without(password: str, report: CheckReport) -> CheckReport:
    """Return a report in which no text quotes the password (hazard S1)."""

    def harmless(text: str) -> str:
        return redact(text, [Secret(password)])

    error = report.error
    return report.model_copy(
        update={
            "steps": tuple(
                step.model_copy(update={"message": harmless(step.message)}) for step in report.steps
            ),
            "error": error and error.model_copy(update={"message": harmless(error.message)}),
            "notes": tuple(map(harmless, report.notes)),
        }
    )


def _login(collector: DesiredCollector) -> tuple[object, ...]:
    source = collector.effective.source
    return source.host, source.effective_port, source.username, source.password, source.oauth2
