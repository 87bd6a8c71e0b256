"""Pages for the owner of a mailbox: consent by OAuth2, or a password that only the owner sees."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.control.access_requests import AccessRequests
from reconciler.control.control_service import ControlService
from reconciler.model.errors import CollectorError
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.access.owner_links import LIFETIME, OwnerLinks
from reconciler.web.access.roles import Role, require_role
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of
from reconciler.web.page.pending_consents import CONSENT_LIFETIME, PendingConsent, PendingConsents

COOKIE = "mailcollector-consent"
"""The cookie that binds a consent to its browser. SameSite is Lax, because the browser comes
back from another site."""
_BACK = "/consent/return"


class ConsentView:
    """The pages of a consent, and those for a mailbox's owner."""

    def __init__(self, control: ControlService, rules: AccessRules) -> None:
        self._control = control
        self._rules = rules
        self._secure = rules.secure
        self._links = OwnerLinks(rules.sessions)
        self._pending = PendingConsents()

    def routes(self) -> list[PageRoute]:
        one = "/collectors/{name}"
        return [
            PageRoute("POST", f"{one}/connect", self.connect, Role.EDIT),
            PageRoute("POST", f"{one}/owner-link", self.make_link, Role.EDIT),
            PageRoute("GET", _BACK, self.return_from_provider, None),
            PageRoute("GET", "/consent/owner/{link}", self.owner, None),
            PageRoute("POST", "/consent/owner", self.save_password, None),
            PageRoute("GET", "/consent/done", self.done, None),
        ]

    # -- somebody who is logged in

    async def connect(self, request: Request) -> Response:
        who = require_role(request, Role.EDIT)
        return await self._begin(request, request.path_params["name"], who.name)

    async def make_link(self, request: Request) -> Response:
        name, access = request.path_params["name"], self._access()
        link = self._links.link(name, await access.stamp(name))
        return render(
            request,
            "owner_link.html",
            name=name,
            mailbox=access.mailbox(name),
            wants=access.access_method(name),
            address=f"{self._base(request)}/consent/owner/{link}",
            days=LIFETIME // 86400,
        )

    # -- the owner

    async def owner(self, request: Request) -> Response:
        return await self._owner_page(request, request.path_params["link"])

    async def save_password(self, request: Request) -> Response:
        form = form_of(request)
        link = str(form.get("link", ""))
        name = await self._owned(request, link)
        access = self._access()
        if access.access_method(name) == "consent":
            return await self._begin(request, name, "the mailbox's owner", link)
        try:
            await access.set_password(name, str(form.get("password", "")), by="the mailbox's owner")
        except CollectorError as error:
            return await self._owner_page(request, link, 422, str(error))
        return RedirectResponse("/consent/done", 303, HEADERS)

    async def done(self, request: Request) -> Response:
        return render(request, "consent_done.html", name="", mailbox="", wrong="")

    async def _owner_page(
        self, request: Request, link: str, status: int = 200, wrong: str = ""
    ) -> Response:
        name = await self._owned(request, link)
        access = self._access()
        return render(
            request,
            "owner.html",
            status,
            mailbox=access.mailbox(name),
            wants=access.access_method(name),
            link=link,
            wrong=wrong,
        )

    async def _owned(self, request: Request, link: str) -> str:
        """Return the collector of a link that can still be used. Raises HTTPException 403."""
        name = self._links.collector(link)
        if name is None or not self._links.is_fresh(link, await self._access().stamp(name)):
            self._rules.count_wrong_link(request.scope.get("address", ""))
            texts = language_of(request)
            raise HTTPException(403, texts.gettext("This link was used, or is too old."))
        return name

    # -- a consent

    async def _begin(self, request: Request, name: str, by: str, owner: str = "") -> Response:
        access = self._access()
        consent = await access.begin_consent(name, f"{self._base(request)}{_BACK}")
        answer = render(
            request,
            "consent.html",
            name="" if owner else name,
            mailbox=access.mailbox(name),
            url=consent.url,
            provider=urlsplit(consent.url).hostname or "",
        )
        answer.set_cookie(
            COOKIE,
            self._pending.begin(name, consent, by, owner),
            max_age=CONSENT_LIFETIME,
            path="/consent",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def return_from_provider(self, request: Request) -> Response:
        """Answer a browser that comes back from the provider. It sends no session, because
        another site's page leads here."""
        given = request.query_params
        found = self._pending.take(given.get("state", ""), request.cookies.get(COOKIE, ""))
        texts = language_of(request)
        if found is None:
            raise HTTPException(
                403, texts.gettext("This consent was not begun here, or took too long.")
            )
        wrong = ""
        if "code" not in given:
            wrong = texts.gettext("No consent was given. Nothing has changed.")
        else:
            wrong = await self._finished(found, given["code"])
        answer = render(
            request,
            "consent_done.html",
            422 if wrong else 200,
            name="" if found.owner else found.collector,
            mailbox=self._access().mailbox(found.collector),
            wrong=wrong,
        )
        answer.delete_cookie(COOKIE, "/consent", secure=self._secure, httponly=True, samesite="lax")
        return answer

    async def _finished(self, found: PendingConsent, code: str) -> str:
        """Keep what the code stands for; return what went wrong."""
        try:
            await self._access().finish_consent(found.collector, found.consent, code, found.by)
        except CollectorError as error:
            return str(error)
        return ""

    def _access(self) -> AccessRequests:
        if self._control.access is None:
            raise HTTPException(404, "this service gives no access to mailboxes")
        return self._control.access

    def _base(self, request: Request) -> str:
        """Return the address of this page as the browser knows it. The guard has checked the
        Host."""
        scheme = "https" if self._secure else "http"
        return f"{scheme}://{request.headers.get('host', 'localhost')}"
