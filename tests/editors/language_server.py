"""yaml-language-server as an editor talks to it: the Language Server Protocol over its standard
input and output."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Message = dict[str, Any]


class LanguageServer:
    """One server for as long as the `with` lasts. `settings` is what the editor's section `yaml`
    says."""

    def __init__(
        self, command: list[str], root: Path, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._settings = dict(settings or {})
        self._numbers = itertools.count(1)
        self._program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
        )
        self.call(
            "initialize",
            {
                "processId": None,
                "rootUri": root.as_uri(),
                "workspaceFolders": [{"uri": root.as_uri(), "name": "root"}],
                "capabilities": {
                    "textDocument": {
                        "completion": {
                            "completionItem": {
                                "snippetSupport": True,
                                "documentationFormat": ["markdown"],
                            }
                        },
                        "hover": {"contentFormat": ["markdown"]},
                        "publishDiagnostics": {},
                    },
                    "workspace": {"configuration": True},
                },
            },
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {"yaml": self._settings}})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call("shutdown", None)
        self._tell("exit", None)
        for stream in (self._program.stdin, self._program.stdout):
            assert stream is not None
            stream.close()
        self._program.wait(20)

    @contextmanager
    def opened(self, path: Path, text: str) -> Iterator[OpenFile]:
        """A file in a tab of the editor, and what is said of it."""
        self._tell(
            "textDocument/didOpen",
            {
                "textDocument": {
                    "uri": path.as_uri(),
                    "languageId": "yaml",
                    "version": 1,
                    "text": text,
                }
            },
        )
        found = self._until(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics"
                and message["params"]["uri"] == path.as_uri()
            )
        )
        yield OpenFile(self, path.as_uri(), text, found["params"]["diagnostics"])
        self._tell("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    def call(self, method: str, parameters: Any) -> Any:
        """The answer to a request."""
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        answer = self._until(
            lambda message: message.get("id") == number and "method" not in message
        )
        assert "error" not in answer, answer
        return answer["result"]

    def _tell(self, method: str, parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: Message) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._program.stdin is not None
        self._program.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._program.stdin.flush()

    def _until(self, wanted: Any) -> Message:
        while True:
            message = self._read()
            if wanted(message):
                return message
            if "id" in message and "method" in message:  # the server asks the editor
                asked = message["params"].get("items", ()) if message.get("params") else ()
                answer = (
                    [self._settings if item["section"] == "yaml" else None for item in asked]
                    if message["method"] == "workspace/configuration"
                    else None
                )
                self._send({"id": message["id"], "result": answer})

    def _read(self) -> Message:
        stream = self._program.stdout
        assert stream is not None
        length = 0
        while (line := stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, f"the language server ended, with {self._program.poll()}"
        message: Message = json.loads(stream.read(length))
        return message


class OpenFile:
    """`diagnostics` as the protocol has them; places are named by the text before them."""

    def __init__(
        self, server: LanguageServer, uri: str, text: str, diagnostics: list[Message]
    ) -> None:
        self._server = server
        self._uri = uri
        self._text = text
        self.diagnostics = diagnostics

    def messages(self) -> list[tuple[int, int, str]]:
        """Line and column, from 1, and what is said there; in order."""
        return sorted(
            (
                one["range"]["start"]["line"] + 1,
                one["range"]["start"]["character"] + 1,
                one["message"],
            )
            for one in self.diagnostics
        )

    def hover(self, before: str, *, nth: int = 0) -> str:
        """What is shown where the mouse rests on the last character of `before`."""
        answer = self._server.call("textDocument/hover", self._at(before, nth, back=1))
        return str(answer["contents"]["value"]) if answer else ""

    def completion(self, before: str, *, nth: int = 0) -> dict[str, Message]:
        """What is offered behind `before`, by label."""
        answer = self._server.call("textDocument/completion", self._at(before, nth))
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: item for item in items}

    def _at(self, before: str, nth: int, *, back: int = 0) -> Message:
        end = -1
        for _ in range(nth + 1):
            end = self._text.index(before, end + 1)
        above = self._text[: end + len(before) - back]
        return {
            "textDocument": {"uri": self._uri},
            "position": {
                "line": above.count("\n"),
                "character": len(above) - above.rfind("\n") - 1,
            },
        }
