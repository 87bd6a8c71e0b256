"""The pages of a collector's form: add, edit, preview, check and save."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.manifest_drafts import ManifestDraft, ManifestOutdated
from reconciler.control.manifest_service import ProposedChange
from reconciler.control.manifest_writing import ManifestNotWritten, ReadOnlyManifests
from reconciler.control.password_files import SecretNotKept
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile
from reconciler.manifests.editing.manifest_editor import AlreadyDeclared, EditRefused
from reconciler.manifests.editing.unified_diff import unified_diff
from reconciler.model.errors import PolicyRefused
from reconciler.web.access.roles import Role, require_role
from reconciler.web.page.collector_form import (
    CollectorForm,
    blank_form,
    loaded_form,
    read_again,
    sent_form,
)
from reconciler.web.page.form_context import form_context, preview_context
from reconciler.web.page.form_fields import (
    ASKED,
    NAME,
    PASSWORD,
    as_sent,
    at,
    shown_values,
)
from reconciler.web.page.form_problems import NAME_TAKEN
from reconciler.web.page.forms_sent_once import FormsSentOnce, redirect
from reconciler.web.page.login_provider import known_account
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of

_SAVED = "save"
_SECRET_FILE = ("spec", "source", "password", "file")


class FormView:
    """The pages with the form. All of them need the role `edit`."""

    def __init__(self, control: ControlService) -> None:
        self._control = control
        self._sent_once = FormsSentOnce()

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", "/add", self.add, Role.EDIT),
            PageRoute("POST", "/add", self.save, Role.EDIT),
            PageRoute("GET", "/collectors/{name}/edit", self.edit, Role.EDIT),
            PageRoute("POST", "/collectors/{name}/edit", self.save, Role.EDIT),
            PageRoute("POST", "/form/check", self.check, Role.EDIT),
            PageRoute("POST", "/form/preview", self.preview, Role.EDIT),
            PageRoute("GET", "/form/provider", self.provider, Role.EDIT),
        ]

    # -- showing it

    async def add(self, request: Request) -> Response:
        asked = request.query_params
        form = blank_form({name: asked[name] for name in ASKED if name in asked})
        return await self._page(request, form)

    async def edit(self, request: Request) -> Response:
        form = await loaded_form(self._control, request.path_params["name"])
        return await self._page(request, form)

    async def preview(self, request: Request) -> Response:
        """Answer with what would be written, as a part of the page."""
        form = await self._sent(request)
        proposed = await self._proposed(form)
        return render(
            request, "form_preview.html", **await self._previewed(request, form, proposed)
        )

    async def provider(self, request: Request) -> Response:
        """Answer with what is known of the account of a login."""
        asked = request.query_params
        found = known_account(
            asked.get("login", ""), asked.get("protocol", ""), language_of(request)
        )
        return JSONResponse(found.as_json() if found else {}, headers=HEADERS)

    # -- checking

    async def check(self, request: Request) -> Response:
        form = await self._sent(request)
        proposed = await self._proposed(form)
        report, refused = None, bool(form.problems or form.diagnostics)
        if not refused:
            try:
                report = await self._control.draft_checks.run(form.change(), form.typed_password)
            except EditRefused as error:
                form.problems[""] = str(error)
                refused = True
        if "part" in request.query_params:
            context = self._context(request, form, show_problems=refused)
            return render(request, "form_check.html", report=report, checked=True, **context)
        return await self._page(
            request, form, 422 if refused else 200, proposed, report=report, checked=True
        )

    # -- saving

    async def save(self, request: Request) -> Response:
        return await self._sent_once.save_once(request, self._save)

    async def _save(self, request: Request) -> Response:
        who = require_role(request, Role.EDIT)
        form = await self._sent(request)
        if form.outdated:
            return await self._conflict(request, form)
        proposed = await self._proposed(form)
        if form.problems or form.diagnostics:
            return await self._page(request, form, 422, proposed, show_problems=True)
        if proposed is not None and not proposed.writable:
            return self._read_only(request, form, proposed.draft)
        return await self._saved(request, form, who.name, proposed)

    async def _saved(
        self, request: Request, form: CollectorForm, by: str, proposed: ProposedChange | None
    ) -> Response:
        """Write the manifest, and lead the browser to the collector's page."""
        try:
            await self._write(form, by)
        except (ManifestOutdated, ChangedMeanwhile):
            return await self._conflict(request, await self._sent(request))
        except ReadOnlyManifests as error:
            return self._read_only(request, form, error.draft)
        except (SecretNotKept, PolicyRefused) as error:
            form.problems[PASSWORD] = str(error)
        except AlreadyDeclared:
            form.problems[NAME] = NAME_TAKEN
        except (EditRefused, ManifestNotWritten) as error:
            form.problems[""] = str(error)
        else:
            return redirect(request, f"/collectors/{quote(_name(form))}?done={_SAVED}")
        return await self._page(request, form, 422, proposed, show_problems=True)

    async def _write(self, form: CollectorForm, by: str) -> None:
        manifests, expected = self._control.manifests, None if form.is_new else form.etag.__eq__
        if not form.typed_password:
            await manifests.apply(form.change(), by, expected)
            return
        async with manifests.keep_secret(_name(form), form.typed_password, by) as file:
            await manifests.apply(form.change(file), by, expected)

    async def _conflict(self, request: Request, form: CollectorForm) -> Response:
        """Show what somebody else changed, with the form's own changes on top of it."""
        theirs = unified_diff(form.base, form.text, form.name)
        had_password = bool(form.typed_password)
        mine = replace(
            form,
            etag=form.now,
            base=form.text,
            loaded=shown_values(form.fields, form.present, {}),
        )
        both = shown_values(form.fields, form.data, {})
        mine = read_again(self._control, mine, as_sent({**form.values, **both}))
        proposed = await self._proposed(mine)
        return await self._page(
            request, mine, 409, proposed, theirs=theirs, retype=had_password, conflict=True
        )

    def _read_only(self, request: Request, form: CollectorForm, draft: ManifestDraft) -> Response:
        after = draft.after.text if draft.after else ""
        secret = at(draft.after.data, _SECRET_FILE) if draft.after else ""
        return render(
            request,
            "form_read_only.html",
            409,
            form=form,
            text=after,
            path=str(draft.change.path),
            patch=draft.diff,
            secret=secret if form.typed_password else "",
        )

    # -- parts

    async def _sent(self, request: Request) -> CollectorForm:
        sent = {name: str(value) for name, value in reversed(form_of(request).multi_items())}
        if (name := request.path_params.get("name")) is not None:
            sent["editing"] = name
        elif request.url.path == "/add":
            sent["editing"] = ""
        return await sent_form(self._control, sent, language_of(request))

    async def _proposed(self, form: CollectorForm) -> ProposedChange | None:
        """Return what the form would write; None where that is not known. The reasons are then
        among the form's problems."""
        try:
            found = await self._control.manifests.propose(form.change())
        except AlreadyDeclared:
            form.problems[NAME] = NAME_TAKEN
            return None
        except EditRefused as error:
            form.problems.setdefault("", str(error))
            form.diagnostics = error.diagnostics
            return None
        form.diagnostics = found.draft.diagnostics
        if found.draft.problem and not found.draft.diagnostics and not form.problems:
            form.problems[""] = found.draft.problem
        return found

    async def _previewed(
        self, request: Request, form: CollectorForm, proposed: ProposedChange | None
    ) -> dict[str, Any]:
        again = 0
        if not form.is_new and form.mode_changed:
            again = (await self._control.describe(form.name)).history_size
        return preview_context(form, proposed, again, language_of(request))

    def _context(
        self, request: Request, form: CollectorForm, *, show_problems: bool
    ) -> dict[str, Any]:
        manifests, language = self._control.manifests, language_of(request)
        return form_context(form, manifests, language, show_problems=show_problems)

    async def _page(
        self,
        request: Request,
        form: CollectorForm,
        status: int = 200,
        proposed: ProposedChange | None = None,
        **more: Any,
    ) -> Response:
        if proposed is None and status == 200:
            proposed = await self._proposed(form) if not form.is_new else None
        shown = {"show_problems": status == 422, "report": None, "checked": False, "theirs": ""}
        shown |= {"retype": False, "conflict": False} | more
        show_problems = bool(shown.pop("show_problems"))
        context = self._context(request, form, show_problems=show_problems)
        context |= await self._previewed(request, form, proposed)
        return render(request, "form.html", status, **context, **shown)


def _name(form: CollectorForm) -> str:
    return form.name or str(at(form.data, ("metadata", "name")))
