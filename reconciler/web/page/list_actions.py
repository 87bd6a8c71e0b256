"""Actions on one collector, or on many that were selected in the list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.manifest_drafts import DeleteManifest, ManifestChange, SwitchManifest
from reconciler.model.errors import CollectorError
from reconciler.web.access.roles import Role, principal, require_role
from reconciler.web.api.collector_resources import query_of
from reconciler.web.page.action_preview import ActionPreviews
from reconciler.web.page.check_words import sentence_words
from reconciler.web.page.condition_words import advice
from reconciler.web.page.login_view import local_path
from reconciler.web.page.page_notices import with_notice
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of

Act = Callable[[str, Request], Awaitable[int]]
"""An action on a collector; it returns what the notice counts."""
_MOST = 10_000
"""Collectors of one action."""
_ASKED = frozenset({"delete", "clear"})
"""Actions that are confirmed first."""
_CHANGES: Mapping[str, Callable[[str], ManifestChange]] = {
    "enable": lambda name: SwitchManifest(name, enabled=True),
    "disable": lambda name: SwitchManifest(name, enabled=False),
    "delete": DeleteManifest,
}
"""The actions that change manifests."""


class ListActions:
    """The actions of the buttons of the list and of a collector's page."""

    def __init__(self, control: ControlService) -> None:
        self._control = control
        self._previews = ActionPreviews(control)
        self._acts: dict[str, tuple[Role, Act]] = {
            "collect": (Role.OPERATE, self._collect),
            "enable": (Role.OPERATE, self._enable),
            "disable": (Role.OPERATE, self._disable),
            "unpark": (Role.OPERATE, self._unpark),
            "delete": (Role.EDIT, self._delete),
            "clear": (Role.EDIT, self._clear),
        }

    def routes(self) -> list[PageRoute]:
        one = "/collectors/{name}"
        return [
            PageRoute("POST", "/actions", self.many),
            *(
                PageRoute("POST", f"{one}/{word}", self._one(word), role)
                for word, (role, _) in self._acts.items()
            ),
            *(
                PageRoute("GET", f"{one}/{word}", self._confirmation(word), Role.EDIT)
                for word in sorted(_ASKED)
            ),
            PageRoute("POST", f"{one}/check", self.check, Role.OPERATE),
        ]

    async def many(self, request: Request) -> Response:
        """Apply one action to every selected collector. An action that needs a confirmation asks
        first."""
        form = form_of(request)
        word, names = str(form.get("action", "")), await self._names(request)
        if word == "other":
            word = str(form.get("other", ""))
        if word not in self._acts:
            raise HTTPException(400, "there is no such action")
        role, act = self._acts[word]
        require_role(request, role)
        back = _back(request, "/")
        if not names:
            return _answer(with_notice(back, "nothing"))
        if (word in _ASKED or form.get("all")) and not form.get("confirmed"):
            return await self._confirm(request, word, names, back)
        if len(names) == 1:
            return _answer(with_notice(back, word, await act(names[0], request)))
        done = await self._all(word, names, request)
        count = sum(one for one in done if one is not None)
        return _answer(with_notice(back, word, count, done.count(None)))

    async def _names(self, request: Request) -> Sequence[str]:
        """Return the selected names; `all`: those of every page of the list."""
        form = form_of(request)
        if form.get("all"):
            query = query_of(QueryParams(urlsplit(_back(request, "/")).query))
            return _checked(await self._control.selected_names(query))
        return _checked(list(dict.fromkeys(map(str, form.getlist("names")))))

    async def _all(self, word: str, names: Sequence[str], request: Request) -> list[int | None]:
        """Apply an action to several collectors. Return what the action returns for each; None
        where it is refused. Changes of manifests are acted upon together."""
        if word in _CHANGES:
            asked = [_CHANGES[word](name) for name in names]
            done = await self._control.manifests.apply_all(asked, _by(request))
            return [None if isinstance(one, CollectorError) else 1 for one in done]
        counts: list[int | None] = []
        for name in names:
            try:
                counts.append(await self._acts[word][1](name, request))
            except CollectorError:
                counts.append(None)
        return counts

    def _one(self, word: str) -> Callable[[Request], Awaitable[Response]]:
        async def act(request: Request) -> Response:
            name = request.path_params["name"]
            count = await self._acts[word][1](name, request)
            back = _back(request, "/")
            gone = word == "delete" and urlsplit(back).path == f"/collectors/{name}"
            return _answer(with_notice("/" if gone else back, word, count))

        return act

    def _confirmation(self, word: str) -> Callable[[Request], Awaitable[Response]]:
        async def ask(request: Request) -> Response:
            back = local_path(request.query_params.get("back", "/"))
            return await self._confirm(request, word, [request.path_params["name"]], back)

        return ask

    async def _confirm(
        self, request: Request, word: str, names: Sequence[str], back: str
    ) -> Response:
        preview = await self._previews.of(word, names)
        return render(request, "confirm.html", preview=preview, back=back)

    async def check(self, request: Request) -> Response:
        """Answer with the steps of a check: a page, or the part of one that X-Fragment names."""
        report = await self._control.check(request.path_params["name"])
        is_part = request.headers.get("x-fragment") == "checked"
        language = language_of(request)
        return render(
            request,
            "check_result.html" if is_part else "checked.html",
            report=report,
            sentence_words=lambda text: sentence_words(text, language),
            to_do=advice(report.error.reason, language) if report.error else "",
            back=_back(request, "/"),
        )

    async def _collect(self, name: str, _request: Request) -> int:
        self._control.collect(name)
        return 1

    async def _enable(self, name: str, request: Request) -> int:
        return await self._switch(name, request, enabled=True)

    async def _disable(self, name: str, request: Request) -> int:
        return await self._switch(name, request, enabled=False)

    async def _switch(self, name: str, request: Request, *, enabled: bool) -> int:
        await self._control.manifests.apply(SwitchManifest(name, enabled), _by(request))
        return 1

    async def _delete(self, name: str, request: Request) -> int:
        await self._control.manifests.apply(DeleteManifest(name), _by(request))
        return 1

    async def _clear(self, name: str, _request: Request) -> int:
        await self._control.clear(name)
        return 1

    async def _unpark(self, name: str, _request: Request) -> int:
        return await self._control.unpark(name)


def _by(request: Request) -> str:
    who = principal(request)
    return who.name if who else ""


def _checked(names: Sequence[str]) -> Sequence[str]:
    if len(names) > _MOST:
        raise HTTPException(400, f"select at most {_MOST} collectors")
    return names


def _back(request: Request, otherwise: str) -> str:
    return local_path(str(form_of(request).get("back", otherwise)))


def _answer(path: str) -> Response:
    return RedirectResponse(path, 303, HEADERS)
