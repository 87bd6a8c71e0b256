"""A client of the daemon's API over its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from reconciler.cli.collectors import CollectOutcome, DaemonUnreachable, UnknownCollector
from reconciler.model.errors import CollectorError
from reconciler.model.manifests_in_force import InForce
from reconciler.model.outcomes import Cleared
from reconciler.model.selectors import EVERYTHING, Selector
from reconciler.model.settings import Settings
from reconciler.model.shown_dialogue import ShownDialogue, ShownDialogues
from reconciler.model.status import (
    CheckReport,
    Description,
    SessionError,
    ShownCollector,
    ShownSession,
)

if TYPE_CHECKING:
    from reconciler.cli.collectors import OnFinished, OnProgress

_BASE = "http://localhost/api/v1"
_RETRIES = 2
"""Further tries to connect, within half a second: a daemon with many clients at once refuses some
at first."""
_ANSWERS = httpx.Timeout(30)
_WAITS = httpx.Timeout(30, read=None)
"""For what lasts as long as a session; the daemon has its deadlines."""
_PAGE = 1000
"""Collectors in one request for a page of the list."""
M = TypeVar("M", bound=BaseModel)


class _ListPage(BaseModel):
    items: list[ShownCollector]
    next: str | None


class RequestDeclined(CollectorError):
    """The daemon answered with an error. `reason` is the daemon's."""

    def __init__(self, error: SessionError) -> None:
        super().__init__(error.message)
        self.reason = error.reason


class DaemonClient:
    """The running daemon. It takes over the open descriptor of the state directory."""

    is_daemon = True

    def __init__(self, settings: Settings, directory: int) -> None:
        self._socket = settings.control_socket
        self._directory = directory
        self._path = f"/proc/self/fd/{directory}/{self._socket.name}"
        self._parallel = settings.max_sessions
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=self._path, retries=_RETRIES),
            base_url=_BASE,
            timeout=_ANSWERS,
            trust_env=False,
        )

    def manifests(self) -> Path:
        """Return the directory of manifests that the daemon runs."""
        return Path(self.about()["manifests"])

    def about(self) -> dict[str, Any]:
        """Return the daemon's facts about itself: its directories, its file of tokens, its page."""
        found: dict[str, Any] = self._asked("GET", "/info")
        return found

    def in_force(self) -> InForce:
        return self._model(InForce, "GET", "/in-force")

    def confirm_removed(self, name: str) -> None:
        """Tell the daemon that a manifest was removed on purpose."""
        self._asked("POST", f"/removed/{name}")

    def listed(self, search: str = "", wanted: Selector = EVERYTHING) -> list[ShownCollector]:
        query = {
            "label": [wanted.text] if wanted.text else [],
            "search": [search] if search else [],
            "limit": str(_PAGE),
        }
        found: list[ShownCollector] = []
        after: str | None = ""
        while after is not None:
            asked = httpx.QueryParams({**query, "after": [after] if after else []})
            with self._understood():
                page = _ListPage.model_validate(self._asked("GET", "/collectors", params=asked))
            found += page.items
            after = page.next
        return found

    def description(self, name: str) -> Description:
        """Return everything about a collector. The manifest as declared is left out."""
        known = {field.alias or name for name, field in Description.model_fields.items()}
        with self._understood():
            answer = self._asked("GET", self._collector(name))
            return Description.model_validate(
                {key: value for key, value in answer.items() if key in known}
            )

    def dialogues(self, name: str) -> Sequence[ShownDialogue]:
        return self._model(ShownDialogues, "GET", f"{self._collector(name)}/dialogue").items

    def request(self, name: str, *, force: bool) -> None:
        self._asked("POST", f"{self._collector(name)}/collect", params=_flags(force=force))

    def collect(
        self, names: Sequence[str], on_progress: OnProgress, on_finished: OnFinished, *, force: bool
    ) -> None:
        asyncio.run(self._collected(names, on_progress, on_finished, force=force))

    def clear(self, name: str) -> Cleared:
        answer = self._asked("POST", f"{self._collector(name)}/clear", timeout=_WAITS)
        return Cleared(epoch=answer["epoch"], forgotten=answer["forgotten"])

    def unpark(self, name: str) -> int:
        answer = self._asked("POST", f"{self._collector(name)}/unpark", timeout=_WAITS)
        return int(answer["unparked"])

    def accept_maildirs(self, name: str) -> None:
        self._asked("POST", f"{self._collector(name)}/accept-maildirs", timeout=_WAITS)

    def pause(self, by: str, reason: str) -> None:
        """Pause the whole service."""
        self._asked("POST", "/pause", json={"by": by, "reason": reason})

    def resume(self) -> None:
        """Resume the service."""
        self._asked("POST", "/resume")

    def check(self, name: str, *, force: bool) -> CheckReport:
        return self._model(
            CheckReport,
            "POST",
            f"{self._collector(name)}/check",
            params=_flags(force=force),
            timeout=_WAITS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        os.close(self._directory)

    def _collector(self, name: str) -> str:
        """Return the API path of a collector. A text that cannot be a name is never sent."""
        if re.fullmatch("[-a-z0-9]+", name) is None:
            self._require(name)
        return f"/collectors/{name}"

    def _require(self, name: str) -> None:
        known = [shown.metadata.name for shown in self.listed()]
        if name not in known:
            raise UnknownCollector(name, known)

    def _model(self, kind: type[M], method: str, path: str, **request: Any) -> M:
        with self._understood():
            return kind.model_validate(self._asked(method, path, **request))

    def _asked(self, method: str, path: str, **request: Any) -> Any:
        with self._reached():
            response = self._http.request(method, path, **request)
        if response.status_code == 404 and path.startswith("/collectors/"):
            self._require(path.split("/")[2])  # else it is declared, and something else is missing
        return _answer(response.status_code, response.content)

    async def _collected(
        self, names: Sequence[str], on_progress: OnProgress, on_finished: OnFinished, *, force: bool
    ) -> None:
        limits = httpx.Limits(max_connections=self._parallel)
        transport = httpx.AsyncHTTPTransport(uds=self._path, retries=_RETRIES, limits=limits)
        room = asyncio.Semaphore(self._parallel)

        async def one(name: str) -> None:
            async with room:
                on_finished(await self._session(http, name, on_progress, force=force))

        with self._reached():
            async with httpx.AsyncClient(
                transport=transport, base_url=_BASE, timeout=_WAITS, trust_env=False
            ) as http:
                await asyncio.gather(*map(one, names))

    async def _session(
        self, http: httpx.AsyncClient, name: str, on_progress: OnProgress, *, force: bool
    ) -> CollectOutcome:
        flags = _flags(force=force, wait=True)
        async with http.stream("POST", f"/collectors/{name}/collect", params=flags) as response:
            if response.status_code >= 400:
                return CollectOutcome(
                    name, error=_declined(response.status_code, await response.aread())
                )
            async for event, data in _events(response.aiter_lines()):
                with self._understood():
                    session = ShownSession.model_validate_json(data)
                on_progress(name, session)
                if event == "finished":
                    return CollectOutcome(name, session)
        raise DaemonUnreachable(
            f"the daemon at {self._socket} stopped before the session of {name} ended"
        )

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise DaemonUnreachable(
                f"the daemon at {self._socket} does not answer: "
                f"{str(error) or type(error).__name__}"
            ) from error

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            raise DaemonUnreachable(
                f"the daemon at {self._socket} is of another version and answers in another form: "
                "restart it"
            ) from error


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Yield name and data of each server-sent event about a session."""
    event, data = "", []
    async for line in lines:
        field, _, value = line.partition(":")
        if field == "event":
            event = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
        elif not line:
            if event in {"progress", "finished"}:
                yield event, "\n".join(data)
            event, data = "", []


def _flags(**flags: bool) -> dict[str, str]:
    return {name: "true" for name, value in flags.items() if value}


def _answer(status: int, body: bytes) -> Any:
    if status >= 400:
        raise _declined(status, body)
    try:
        return json.loads(body)
    except ValueError as error:
        raise DaemonUnreachable(
            "the daemon's answer is no JSON: is it of another version? Restart it"
        ) from error


def _declined(status: int, body: bytes) -> RequestDeclined:
    try:
        problem = json.loads(body)["error"]
        return RequestDeclined(SessionError(reason=problem["reason"], message=problem["message"]))
    except (ValueError, KeyError, TypeError):  # a ValidationError is a ValueError
        return RequestDeclined(
            SessionError(reason="Failed", message=f"the daemon answered with HTTP status {status}")
        )
