"""Changes of manifests for the API and the page: previews, and writing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.manifest_batch import AskedChange, draft_batch, write_batch
from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeclaredManifest,
    DeleteManifest,
    EtagCondition,
    ManifestChange,
    ManifestDraft,
    declared_manifest,
    draft,
)
from reconciler.control.manifest_writing import (
    AppliedChange,
    KnownManifests,
    is_writable,
)
from reconciler.control.password_files import keep_password
from reconciler.control.running_set import RunningSet
from reconciler.log import log
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile
from reconciler.manifests.editing.manifest_editor import (
    AlreadyDeclared,
    ManifestEditor,
    NotDeclared,
)
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.model.errors import CollectorError
from reconciler.model.history import KEPT
from reconciler.model.interfaces import Registry
from reconciler.planning.desired_state import Desired, DesiredCollector, desire
from reconciler.planning.incremental import desired_near
from reconciler.planning.observed_manifests import ObservedManifests
from reconciler.planning.plan_report import meaning_of, plan_as_data
from reconciler.planning.reconcile_plan import Keep, Plan, Stop, plan

T = TypeVar("T")
TOGETHER = 500
"""Changes that are written and acted upon at once. While they are written, no turn is taken."""


class ProposedChange(Struct, frozen=True):
    """What a change would write, and what it means. `plan` is as of `plan -o json`, without the
    collectors that stay as they are. `consequences`: what the change means for the mail of its own
    collector, in sentences. `writable`: the directory can be written."""

    draft: ManifestDraft
    plan: Mapping[str, Any]
    consequences: tuple[str, ...]
    writable: bool


class ManifestService:
    """Reads and changes the manifests of the daemon's directory. Every method that takes a
    collector's name or change raises NotDeclared, and EditRefused if its file has to be fixed by
    hand first."""

    def __init__(
        self,
        controller: Controller,
        loops: RunningSet,
        registry: Registry,
        clock: Clock,
        *,
        git_commit: bool = False,
    ) -> None:
        self._controller = controller
        self._loops = loops
        self._registry = registry
        self._clock = clock
        self._git_commit = git_commit
        self._threads = ThreadPool("manifests", 2)
        self._changing = asyncio.Lock()
        self._waiting: list[AskedChange] = []
        """Changes that no batch has taken yet."""
        self._known = KnownManifests(controller.directory.root)

    @property
    def directory(self) -> Path:
        """The directory of the manifests."""
        return self._controller.directory.root

    def others(self, kind: str) -> list[ManifestSummary]:
        """Return the manifests of another kind than collectors, valid or not, as of the last look,
        by their names."""
        return self._controller.directory.of_kind(kind)

    async def declared(self, name: str) -> DeclaredManifest:
        """Return a collector's document as it is in its file now."""
        return await self._threads.run(lambda: declared_manifest(self._editor(name), name))

    async def propose(
        self, asked: ManifestChange, expected: EtagCondition | None = None
    ) -> ProposedChange:
        """Return what a change would write and do. `expected` says of the present document's ETag
        whether it is one that the client expects; None: any. Raises ManifestOutdated,
        AlreadyDeclared."""
        found = await self._drafted(asked, expected)
        name = found.change.name
        shown, remembered = Plan(), dict[str, int]()
        if not found.problem:
            shown = await self._planned(found)
            histories = await self._threads.run(self._registry.histories, [name])
            remembered = {one: history.size for one, history in histories.items()}
        until = self._clock.now() + KEPT
        writable = await self._threads.run(is_writable, found.change.path)
        step = next((step for step in shown.steps if step.name == name), None)
        if isinstance(asked, DeleteManifest):
            step = Stop(name, "declared no longer")  # where it does not run, the plan has no step
        means = tuple(meaning_of(step, remembered, until)) if step else ()
        return ProposedChange(found, plan_as_data(shown, remembered, until), means, writable)

    async def apply(
        self, asked: ManifestChange, by: str, expected: EtagCondition | None = None
    ) -> AppliedChange:
        """Write a change, and act on it. `by`: who asks. Raises ManifestOutdated, AlreadyDeclared,
        ReadOnlyManifests, ManifestNotWritten, ChangedMeanwhile, NotCommitted."""
        (done,) = await self._in_any_case(self._applied([asked], by, expected))
        if isinstance(done, CollectorError):
            raise done
        return done

    async def apply_all(
        self, asked: Sequence[ManifestChange], by: str
    ) -> list[AppliedChange | CollectorError]:
        """Write changes, and act on them: `TOGETHER` at a time. Return for each what `apply` does,
        or the error that it raises."""
        return await self._in_any_case(self._applied(asked, by, None))

    async def _in_any_case(self, work: Coroutine[None, None, T]) -> T:
        """Await the work to its end, even if the client goes away: what was written must be
        acted upon."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait
        return await asyncio.shield(task)

    async def _applied(
        self, asked: Sequence[ManifestChange], by: str, expected: EtagCondition | None
    ) -> list[AppliedChange | CollectorError]:
        done: list[AppliedChange | CollectorError] = []
        for start in range(0, len(asked), TOGETHER):
            call = object()
            some = [AskedChange(one, by, expected, call) for one in asked[start : start + TOGETHER]]
            self._waiting.extend(some)
            while any(one.outcome is None for one in some):
                async with self._changing:
                    await self._next_batch()
            for one in some:
                if not isinstance(one.outcome, AppliedChange | CollectorError):
                    raise one.outcome or AssertionError
                done.append(one.outcome)
        return done

    async def _next_batch(self) -> None:
        """Write and act upon what waits, no matter who asked: what came while the last batch was
        written costs one turn together."""
        batch = self._waiting[:TOGETHER]
        del self._waiting[:TOGETHER]
        if not batch:
            return
        try:
            await self._threads.run(draft_batch, self._editor, batch)
            async with self._controller.between_turns():
                await self._threads.run(write_batch, batch, git_commit=self._git_commit)
        except Exception as error:  # noqa: BLE001  # those who asked get it
            for one in batch:
                one.outcome = one.outcome or error
        self._waiting[:0] = [one for one in batch if one.outcome is None]
        await self._act_upon(batch)

    async def _act_upon(self, batch: Sequence[AskedChange]) -> None:
        written = [found.change for one in batch if (found := one.written)]
        removed = [
            found.change.name for one in batch if (found := one.written) and found.verb == "delete"
        ]
        paths = {str(change.path) for change in written}
        if any(one.outcome is None and one.is_looked_at for one in batch):
            await self._controller.removed(removed, None)
        elif removed:
            await self._controller.removed(removed, paths)
        elif written:
            await self._controller.turn(only=paths)

    async def _drafted(
        self, asked: ManifestChange, expected: EtagCondition | None
    ) -> ManifestDraft:
        name = None if isinstance(asked, CreateManifest) else asked.name
        try:
            return await self._threads.run(lambda: draft(self._editor(name), asked, expected))
        except (NotDeclared, AlreadyDeclared):
            await self._controller.turn()  # perhaps that was not so any more
            return await self._threads.run(lambda: draft(self._editor(name), asked, expected))

    def _editor(self, name: str | None = None) -> ManifestEditor:
        """Return the manifests as of the last look, and those of this collector as they are now."""
        return self._known.editor(*self._controller.directory.indexed, name)

    async def desired_after(self, found: ManifestDraft) -> Desired:
        """Return what would be desired of a draft's collector, and of those that it concerns."""
        return (await self._decided(found))[0]

    async def _planned(self, found: ManifestDraft) -> Plan:
        """Return the plan for a draft, without the collectors that stay as they are."""
        desired, actual = await self._decided(found)
        return Plan(
            tuple(
                step
                for step in plan(desired, actual).steps
                if not isinstance(step, Keep) or step.name == found.change.name
            )
        )

    async def _decided(
        self, found: ManifestDraft
    ) -> tuple[Desired, Mapping[str, DesiredCollector]]:
        """Return what would be desired after a draft, and what runs: of all collectors that it can
        concern."""
        observed, known = await self._threads.run(self._seen, found, self._controller.desired)
        names = {name for kind, name in known.good if kind == "MailCollector"}
        actual = self._loops.actual({*names, found.change.name})
        observed = replace(observed, ending=frozenset(actual))
        desired = await self._threads.run(desire, observed, known.good, known.collectors)
        return desired, actual

    def _seen(
        self, found: ManifestDraft, desired: Desired | None
    ) -> tuple[ObservedManifests, Desired]:
        """Return what a look would find after a draft, and what is desired now."""
        change, directory = found.change, self._controller.directory
        known = desired or Desired({}, {}, {})
        is_near = not known.rerouting and not known.renames
        contents = {str(change.path): change.after}
        observed = directory.observe_with(contents, near=change.name if is_near else None)
        if is_near:
            known = desired_near(known, observed, change.name, directory.is_declared)
        if change.after is None or found.after is None:
            observed = replace(observed, removed=frozenset({change.name}))
        return observed, known

    @asynccontextmanager
    async def keep_secret(self, name: str, text: str, by: str) -> AsyncIterator[str]:
        """Keep a password in a file of its own, and give its path for the collector's manifest,
        relative to that. Where the context fails, the file is again as it was. Raises EditRefused,
        PolicyRefused and SecretNotKept."""
        relative, kept = await self._threads.run(
            lambda: keep_password(self._editor(name), name, text)
        )
        try:
            yield relative
        except Exception:
            with suppress(OSError, ChangedMeanwhile):
                await self._threads.run(kept.undo)
            raise
        log.info("secret changed", collector=name, by=by, file=str(kept.path))
        self._controller.wake(())  # a collector may wait for it
