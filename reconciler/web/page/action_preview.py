"""Previews of deleting and clearing collectors: what will happen."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.control_service import ControlService
from reconciler.control.manifest_drafts import DeleteManifest
from reconciler.control.service_views import NotFound
from reconciler.model.status import ShownCollector

_LISTED = 20
"""Names that a confirmation shows; the others are counted."""


class ActionPreview(Struct, frozen=True):
    """What an action will do.

    `remembered` messages were collected; `present` of them, as far as known, are still on the
    servers. `file` is what a deletion changes, `diff` how, and `writable` whether it can: these are
    of one collector only. `deletes`: at least one collector deletes from the server what it
    collects.
    """

    word: str
    names: Sequence[str]
    count: int
    remembered: int
    present: int
    deletes: bool
    all_again: bool
    file: str = ""
    diff: str = ""
    writable: bool = True

    @property
    def more(self) -> int:
        """How many names are not shown."""
        return self.count - len(self.names[:_LISTED])


class ActionPreviews:
    """Makes previews."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    async def of(self, word: str, names: Sequence[str]) -> ActionPreview:
        """Return what an action on these will do. Raises NotFound, NotDeclared, EditRefused."""
        found = self._known(names)
        sizes = await self._control.history_sizes(names)
        modes = {str(one.spec.get("collect", {}).get("mode", "new-keep")) for one in found}
        preview = ActionPreview(
            word=word,
            names=names,
            count=len(names),
            remembered=sum(sizes.values()),
            present=sum(min(sizes.get(one.metadata.name, 0), _present(one)) for one in found),
            deletes=bool(modes & {"new-delete", "all-delete"}),
            all_again=modes == {"all-delete"},
        )
        return await self._with_file(preview) if word == "delete" and len(names) == 1 else preview

    async def _with_file(self, preview: ActionPreview) -> ActionPreview:
        proposed = await self._control.manifests.propose(DeleteManifest(preview.names[0]))
        change, directory = proposed.draft.change, self._control.manifests.directory
        path = change.path
        if path.is_relative_to(directory):
            path = path.relative_to(directory)
        return replace(
            preview, file=str(path), diff=proposed.draft.diff, writable=proposed.writable
        )

    def _known(self, names: Sequence[str]) -> list[ShownCollector]:
        shown = {one.metadata.name: one for one in self._control.those_of(names)}
        for name in names:
            if name not in shown:
                raise NotFound(f"no collector {name!r} is declared")
        return [shown[name] for name in names]


def _present(collector: ShownCollector) -> int:
    """Return how many messages were on the server at the last look."""
    last = collector.status.last_session
    return max(0, last.listed - last.deleted) if last else 0
