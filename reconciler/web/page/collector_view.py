"""A collector's page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.control.mailbox_access import NoAccessGiven
from reconciler.model.collector_state import CollectorState, is_stale, state_of
from reconciler.model.status import Description, Parked
from reconciler.web.access.roles import Role
from reconciler.web.page.condition_words import condition_words
from reconciler.web.page.event_words import (
    event_words,
    outcome_words,
    parked_advice,
    parked_words,
    skipped_words,
    verdict_words,
)
from reconciler.web.page.page_rendering import language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import reason_words, state_words
from reconciler.web.page.session_chart import (
    duration,
    longest_words,
    most_collected,
    seconds_words,
    session_chart,
)

_SESSIONS = 100
_SHOWN = 50
"""Parked or failing messages that are listed; the others are counted."""


class CollectorView:
    """A collector's page. The header X-Fragment asks for the part of it that is live."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", "/collectors/{name}", self.show),
            PageRoute("POST", "/collectors/{name}/explain", self.explain, Role.OPERATE),
        ]

    async def explain(self, request: Request) -> Response:
        """Answer with how a parked message was looked at for recipients."""
        name, form, language = request.path_params["name"], form_of(request), language_of(request)
        folder, key = str(form.get("folder", "")), str(form.get("key", ""))
        routing = await self._control.explain(name, folder, key)
        return render(
            request,
            "explained.html",
            name=name,
            folder=folder,
            key=key,
            routing=routing,
            why=parked_words(routing.reason, language),
            to_do=parked_advice(routing.reason, language) if routing.parked else "",
            verdict=lambda one: verdict_words(one, language),
        )

    async def show(self, request: Request) -> Response:
        name, language = request.path_params["name"], language_of(request)
        found = await self._control.describe(name, _SESSIONS)
        context = self._live(found, language)
        if request.headers.get("x-fragment") == "live":
            return render(request, "collector_live.html", **context)
        lines, wants = await self._control.effective(name), self._wants(name)
        main = _main_action(context, wants)
        return render(request, "collector.html", lines=lines, wants=wants, main=main, **context)

    def _wants(self, name: str) -> str:
        """Return what the mailbox's owner can give: `password`, `consent`, or nothing."""
        try:
            return self._control.access.access_method(name) if self._control.access else ""
        except NoAccessGiven:
            return ""

    def _live(self, found: Description, language: Language) -> dict[str, Any]:
        collector = found.collector
        activity = self._control.activity(collector.metadata.name)
        source, state = collector.spec.get("source", {}), state_of(collector)
        return {
            "found": found,
            "name": collector.metadata.name,
            "title": str(collector.spec.get("title") or collector.metadata.name),
            "facts": collector.status,
            "state": state,
            "state_text": state_words(state, language),
            "enabled": state is not CollectorState.DISABLED,
            "stale": is_stale(collector, datetime.now(UTC)),
            "source": source,
            "recipient": _recipient(collector.spec),
            "conditions": list(condition_words(collector, language)),
            "busy": activity.busy,
            "paused": self._control.paused,
            "events": [(entry, event_words(entry, language)) for entry in activity.events],
            "chart": session_chart(found.sessions, language),
            "most": most_collected(found.sessions),
            "longest": longest_words(found.sessions, language),
            "took": lambda session: seconds_words(duration(session), language),
            "skipped": lambda reason: skipped_words(reason, language),
            "ended": lambda outcome: outcome_words(outcome, language),
            "why": lambda reason: reason_words(reason, language),
            "has_folders": source.get("protocol") != "pop3",
            "parked": [(one, parked_words(one.reason, language)) for one in found.parked[:_SHOWN]],
            "parked_more": max(0, len(found.parked) - _SHOWN),
            "parked_advice": list(_advice(found.parked, language)),
            "failing": found.failing[:_SHOWN],
            "failing_more": max(0, len(found.failing) - _SHOWN),
        }


def _main_action(context: dict[str, Any], wants: str) -> str:
    """Return the button that stands out: `enable`, `connect`, `collect`; "" where a link beside the
    problem does."""
    if not context["enabled"]:
        return "enable"
    if any(one.act for one in context["conditions"]):
        return ""
    is_unwell = context["state"] in {CollectorState.STALLED, CollectorState.FAILING}
    return "connect" if wants == "consent" and is_unwell else "collect"


def _recipient(spec: dict[str, Any]) -> str:
    recipient = spec.get("recipient", {})
    detect = recipient.get("detect") or {}
    return str(recipient.get("forwardTo") or detect.get("to") or "")


def _advice(parked: Iterable[Parked], language: Language) -> Iterable[str]:
    """Return what to do about these messages, each sentence once."""
    return dict.fromkeys(parked_advice(one.reason, language) for one in parked)
