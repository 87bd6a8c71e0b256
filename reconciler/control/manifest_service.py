"""Changes of the manifests that the API and the page ask for: what each would do, and doing it."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeclaredManifest,
    DeleteManifest,
    ManifestChange,
    ManifestDraft,
    declared_manifest,
    draft,
)
from reconciler.control.password_files import keep_password
from reconciler.control.running_set import RunningSet
from reconciler.log import log
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile
from reconciler.manifests.editing.git_commit import NotCommitted, commit, require_committable
from reconciler.manifests.editing.manifest_editor import (
    AlreadyDeclared,
    NotDeclared,
    Shelf,
)
from reconciler.manifests.editing.modeline import provide
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_files import Unreadable, read
from reconciler.manifests.manifest_set import Content, FileRecord, everything
from reconciler.model.errors import CollectorError
from reconciler.model.history import KEPT
from reconciler.model.interfaces import Registry
from reconciler.planning.desired_state import Desired, DesiredCollector
from reconciler.planning.incremental import plan_after
from reconciler.planning.plan_actions import Keep, Plan, Stop
from reconciler.planning.plan_report import meaning_of, plan_as_data

_WORDS = {
    "create": "Add",
    "replace": "Change",
    "delete": "Remove",
    "enable": "Enable",
    "disable": "Disable",
}
"""How the message of a commit begins, by the verb."""
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class ReadOnlyManifests(CollectorError):
    """The manifests cannot be written here. `draft` is what somebody has to commit elsewhere."""

    reason = "ReadOnly"

    def __init__(self, draft: ManifestDraft) -> None:
        super().__init__(
            f"{draft.change.path} cannot be written here: commit the change where the manifests "
            "come from"
        )
        self.draft = draft


class ManifestNotWritten(CollectorError):
    """The system refuses to write a file."""

    reason = "NotWritten"


class ProposedChange(Struct, frozen=True):
    """What a change would write, and what it means. `plan` is as of `plan -o json`, without the
    collectors that stay as they are. `consequences`: what the change means for the mail of its own
    collector, in sentences. `writable`: the directory can be written."""

    draft: ManifestDraft
    plan: Mapping[str, Any]
    consequences: tuple[str, ...]
    writable: bool


class AppliedChange(Struct, frozen=True):
    """A change that is written and in force. `commit` is the git commit, abbreviated; `trouble`
    says why there is none, where one was asked for."""

    draft: ManifestDraft
    commit: str = ""
    trouble: str = ""


class ManifestService:
    """Reads and changes the manifests of the daemon's directory. Every method that takes a
    collector's name, or a change of one, raises NotDeclared, and EditRefused where its file is to
    be fixed by hand first."""

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

    @property
    def directory(self) -> Path:
        """The directory of the manifests."""
        return self._controller.directory.root

    async def declared(self, name: str) -> DeclaredManifest:
        """Return a collector's document as it is in its file now."""
        return await self._threads.run(lambda: declared_manifest(self._shelf(name), name))

    async def propose(
        self, asked: ManifestChange, expected: Collection[str] | None = None
    ) -> ProposedChange:
        """Return what a change would write and do. `expected` are the ETags of which the present
        document must have one; None: any. Raises ManifestOutdated, AlreadyDeclared."""
        found = await self._drafted(asked, expected)
        name = found.change.name
        shown, remembered = Plan(), dict[str, int]()
        if not found.problem:
            shown = await self._threads.run(
                self._plan, found, self._controller.desired, self._loops.actual()
            )
            histories = await self._threads.run(self._registry.histories, [name])
            remembered = {one: history.size for one, history in histories.items()}
        until = self._clock.now() + KEPT
        writable = await self._threads.run(_is_writable, found.change.path)
        step = next((step for step in shown.steps if step.name == name), None)
        if isinstance(asked, DeleteManifest):
            step = Stop(name, "declared no longer")  # where it does not run, the plan has no step
        means = tuple(meaning_of(step, remembered, until)) if step else ()
        return ProposedChange(found, plan_as_data(shown, remembered, until), means, writable)

    async def apply(
        self, asked: ManifestChange, by: str, expected: Collection[str] | None = None
    ) -> AppliedChange:
        """Write a change, and act on it. `by`: who asks. Raises ManifestOutdated, AlreadyDeclared,
        ReadOnlyManifests, ManifestNotWritten, ChangedMeanwhile, NotCommitted."""
        # not given up where the client goes away: a written manifest is acted upon
        return await asyncio.shield(self._applied(asked, by, expected))

    async def _applied(
        self, asked: ManifestChange, by: str, expected: Collection[str] | None
    ) -> AppliedChange:
        async with self._changing:
            found = await self._drafted(asked, expected)
            found.require_valid()
            if not found.changed:
                return AppliedChange(found)
            done = await self._threads.run(self._write, found, by)
            if isinstance(asked, DeleteManifest):
                await self._controller.confirm_removed(asked.name)
            else:
                await self._controller.turn(only=(str(found.change.path),))
        return done

    async def _drafted(
        self, asked: ManifestChange, expected: Collection[str] | None
    ) -> ManifestDraft:
        name = None if isinstance(asked, CreateManifest) else asked.name
        try:
            return await self._threads.run(lambda: draft(self._shelf(name), asked, expected))
        except (NotDeclared, AlreadyDeclared):
            await self._controller.turn()  # perhaps that was not so any more
            return await self._threads.run(lambda: draft(self._shelf(name), asked, expected))

    def _shelf(self, name: str | None = None) -> Shelf:
        """Return the manifests as of the last look, and those of this collector as they are now."""
        known = self._controller.directory.manifests.keeping(everything, lambda one: one.parsed)
        shelf = Shelf(self.directory, manifests=known)
        now: dict[str, FileRecord[ParsedFile] | Content] = dict(known.records)
        for path, _ in shelf.places(name) if name is not None else ():
            record = known.records[str(path)]
            try:
                data = read(path)
            except Unreadable:
                if not os.path.lexists(path):
                    del now[str(path)]
                continue
            if hashlib.sha256(data).digest() != record.digest:
                now[str(path)] = Content(data, abroad=record.abroad)
        if now == known.records:
            return shelf
        return Shelf(self.directory, manifests=known.refresh(now))

    def _plan(
        self, found: ManifestDraft, desired: Desired | None, actual: Mapping[str, DesiredCollector]
    ) -> Plan:
        """Return the plan for a draft, without the collectors that stay as they are."""
        change, look = found.change, self._controller.look
        observed = self._controller.directory.imagined({str(change.path): change.after})
        if change.after is None or found.after is None:
            observed = replace(observed, removed=frozenset({change.name}))
        observed = replace(observed, ending=frozenset(actual))
        whole = plan_after(observed, look.observed if look else None, desired, actual)
        return Plan(
            tuple(
                step
                for step in whole.steps
                if not isinstance(step, Keep) or step.name == change.name
            )
        )

    def _write(self, found: ManifestDraft, by: str) -> AppliedChange:
        change, message = found.change, f"{_WORDS[found.verb]} collector {found.change.name}"
        if self._git_commit:
            require_committable(change.path)
        try:
            if found.verb == "create":
                provide(self.directory)
            change.write()
        except OSError as error:
            if error.errno in _READ_ONLY:
                raise ReadOnlyManifests(found) from error
            raise ManifestNotWritten(
                f"{change.path} cannot be written: {error.strerror}"
            ) from error
        done = AppliedChange(found)
        if self._git_commit:
            try:
                done = AppliedChange(found, commit(change.path, message, by))
            except NotCommitted as error:
                done = AppliedChange(found, trouble=str(error))
        log.info(
            "manifest changed",
            collector=change.name,
            what=found.verb,
            by=by,
            file=str(change.path),
            **({"commit": done.commit} if done.commit else {}),
            **({"trouble": done.trouble} if done.trouble else {}),
        )
        return done

    @asynccontextmanager
    async def keep_secret(self, name: str, text: str, by: str) -> AsyncIterator[str]:
        """Keep a password in a file of its own, and give its path for the collector's manifest,
        relative to that. Where the context fails, the file is again as it was. Raises EditRefused,
        PolicyRefused and SecretNotKept."""
        relative, kept = await self._threads.run(
            lambda: keep_password(self._shelf(name), name, text)
        )
        try:
            yield relative
        except Exception:
            with suppress(OSError, ChangedMeanwhile):
                await self._threads.run(kept.undo)
            raise
        log.info("secret changed", collector=name, by=by, file=str(kept.path))
        self._controller.wake(())  # a collector may wait for it


def _is_writable(path: Path) -> bool:
    return os.access(Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK)
