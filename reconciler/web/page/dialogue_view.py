"""The page of what was said on the wire in a collector's last sessions, and the same as a file."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.model.session_dialogue import Direction, SessionDialogue
from reconciler.model.shown_dialogue import dialogue_text
from reconciler.web.access.roles import Role
from reconciler.web.page.event_words import outcome_words
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop, reason_words
from reconciler.web.page.session_chart import seconds_words

_WHAT = {
    "session": gettext_noop("Session"),
    "check": gettext_noop("Check of the account"),
    "push": gettext_noop("Push connection"),
}
_SAYS = {
    Direction.SENT: gettext_noop("we"),
    Direction.RECEIVED: gettext_noop("the server"),
    Direction.NOTE: gettext_noop("note"),
}
_ARROWS = {Direction.SENT: "→", Direction.RECEIVED: "←", Direction.NOTE: "·"}


class DialogueView:
    """What was said, for those who operate collectors (see `DialogueResources`)."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", "/collectors/{name}/dialogue", self.show, Role.OPERATE),
            PageRoute("GET", "/collectors/{name}/dialogue.txt", self.download, Role.OPERATE),
        ]

    async def show(self, request: Request) -> Response:
        name, language = request.path_params["name"], language_of(request)
        return render(
            request,
            "dialogue.html",
            name=name,
            dialogues=await self._control.dialogue(name),
            what=lambda one: language.gettext(_WHAT[one.what]),
            says=lambda line: language.gettext(_SAYS[line.direction]),
            arrow=lambda line: _ARROWS[line.direction],
            ended=lambda one: _ended(one, language),
            took=lambda one: _took(one, language),
        )

    async def download(self, request: Request) -> Response:
        name = request.path_params["name"]
        text = dialogue_text(await self._control.dialogue(name))
        disposition = f'attachment; filename="{name}-dialogue.txt"'
        return PlainTextResponse(text, headers={**HEADERS, "Content-Disposition": disposition})


def _took(dialogue: SessionDialogue, language: Language) -> str:
    """Return how long it took; "" while it runs."""
    if dialogue.finished_at is None:
        return ""
    return seconds_words((dialogue.finished_at - dialogue.started_at).total_seconds(), language)


def _ended(dialogue: SessionDialogue, language: Language) -> str:
    words = outcome_words(dialogue.outcome, language)
    return f"{words}: {reason_words(dialogue.reason, language)}" if dialogue.reason else words
