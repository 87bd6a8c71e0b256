"""What was said on the wire in a collector's last sessions, over the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.model.shown_dialogue import ShownDialogue, ShownDialogues, dialogue_text
from reconciler.web.access.roles import Role
from reconciler.web.api.collector_resources import COLLECTOR
from reconciler.web.api.json_answers import json_answer
from reconciler.web.api.operations import Operation


class DialogueResources:
    """Dialogues, as JSON or as text."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                f"{COLLECTOR}/dialogue",
                self.dialogue,
                "What was said in the last sessions, without secrets and without messages; as text "
                "for `Accept: text/plain`.",
                # Folders, correspondents and the server's own words are in it.
                Role.OPERATE,
                answer=ShownDialogues,
                errors=(404, 503),
            )
        ]

    async def dialogue(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = await self._control.dialogue(name)
        if request.headers.get("accept", "").lower().startswith("text/plain"):
            return PlainTextResponse(dialogue_text(found))
        return json_answer(ShownDialogues(name=name, items=tuple(map(ShownDialogue.of, found))))
