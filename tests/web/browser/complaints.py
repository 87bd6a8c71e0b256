"""What a browser complains about while a test has a page open."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Request

_ANSWERS = "Failed to load resource"
"""Begins what the console says of an answer with an error. Tests ask for such answers, and end the
daemon."""


def note_complaints(context: BrowserContext, url: str, complaints: list[str]) -> None:
    """Note errors in the console, which breaches of the content security policy are too; scripts
    that fail; and requests to other hosts than the one of `url`."""

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_ANSWERS):
            complaints.append(f"console: {message.text}")

    def on_error(error: Error) -> None:
        complaints.append(f"script: {error.message}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((f"{url}/", "data:")):
            complaints.append(f"asked elsewhere: {request.url}")

    context.on("console", on_console)
    context.on("weberror", lambda found: on_error(found.error))
    context.on("request", on_request)
