"""A daemon's API over a unix socket that answers what a test gave it and remembers what it was
asked."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from reconciler.model.collector_search import matches
from reconciler.model.selectors import selector
from reconciler.model.status import Description, Shown, ShownCollector, ShownSession
from tests.short_paths import short_path


class FakeDaemon(socketserver.ThreadingUnixStreamServer):
    """`answers` maps "METHOD /path" to (status, JSON); `sessions` maps names to what their
    session's events are."""

    daemon_threads = True

    def __init__(
        self, state_dir: Path, collectors: Iterable[ShownCollector], manifests: Path
    ) -> None:
        self.asked: list[str] = []
        self.collectors = list(collectors)
        self.page = 1000
        """Collectors of a page at most."""
        self.answers: dict[str, tuple[int, Any]] = {
            "GET /info": (200, {"manifests": str(manifests)})
        }
        self.sessions: dict[str, list[tuple[str, ShownSession]]] = {}
        self._directory = state_dir
        state_dir.mkdir(parents=True, exist_ok=True)
        with short_path(state_dir / "control.sock") as path:
            super().__init__(path, _Answer)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def describe(self, description: Description) -> None:
        self.answers[f"GET /collectors/{description.collector.metadata.name}"] = (
            200,
            {
                "apiVersion": "mailcollector/v1",
                "kind": "MailCollector",
                "metadata": {},
                "spec": {},
                "status": {},
                **shown(description),
            },
        )

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def answer(self, method: str, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if f"{method} {path}" in self.answers:
            return self.answers[f"{method} {path}"]
        if (method, path) == ("GET", "/collectors"):
            search, labels = (
                query.get("search", [""])[0],
                [selector(text) for text in query.get("label", [])],
            )
            found = [
                one
                for one in self.collectors
                if matches(one, search)
                and all(one_of.selects(one.metadata.labels) for one_of in labels)
            ]
            after = query.get("after", [""])[0]
            names = [one.metadata.name for one in found]
            rest = found[names.index(after) + 1 if after else 0 :]
            page = rest[: self.page]
            following = page[-1].metadata.name if len(page) < len(rest) else None
            items = [shown(one) for one in page]
            return 200, {"items": items, "total": len(found), "next": following}
        if path.endswith("/collect") and path.split("/")[2] in {
            one.metadata.name for one in self.collectors
        }:
            return 202, {}
        return 404, {"error": {"reason": "NotFound", "message": "no such thing"}}


class _Answer(BaseHTTPRequestHandler):
    server: FakeDaemon

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        target = urlsplit(self.path)
        path, query = target.path.removeprefix("/api/v1"), parse_qs(target.query)
        self.server.asked.append(
            f"{self.command} {path}" + (f"?{target.query}" if target.query else "")
        )
        name = path.split("/")[2] if path.endswith("/collect") else ""
        if name in self.server.sessions and "wait" in query:
            return self._stream(self.server.sessions[name])
        status, body = self.server.answer(self.command, path, query)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def _stream(self, events: list[tuple[str, ShownSession]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": a comment, as servers send to keep the connection\n\n")
        for event, session in events:
            self.wfile.write(
                f"event: {event}\ndata: {session.model_dump_json(by_alias=True)}\n\n".encode()
            )

    # as the base class has it
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests look at `asked`."""


def shown(value: Shown) -> Any:
    return value.model_dump(mode="json", by_alias=True)
