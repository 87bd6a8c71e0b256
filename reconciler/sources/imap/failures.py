"""What the server's refusals mean (RFC 5530), in texts that anybody may see."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ProtocolViolation,
    SourceError,
    Throttled,
    TlsRefused,
)
from reconciler.model.secret import Secret, excerpt
from reconciler.sources.imap.dialogue import Goodbye
from reconciler.sources.imap.responses import Completed
from reconciler.wire.endpoint import Endpoint

_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)(?: [^\[\]]*)?\]")
_WRONG_CREDENTIALS = {"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"}
_THROTTLING = {"UNAVAILABLE", "INUSE", "LIMIT", "OVERQUOTA", "CONTACTADMIN", "SERVERBUG"}
_SHOWN = 300


class Failures:
    """Turns refusals of one server into errors; knows what must not be shown."""

    def __init__(self, endpoint: Endpoint, secrets: Sequence[Secret]) -> None:
        self._endpoint = endpoint
        self._secrets = secrets

    def shown(self, text: str) -> str:
        """The server's words on one line: secrets, control characters and excess removed (hazards S1, M14)."""
        line = excerpt(text, self._secrets, _SHOWN)
        return "".join(letter if letter.isprintable() else " " for letter in line).strip()

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Map what imaplib raises."""
        try:
            yield
        except Goodbye as error:
            message = f"{self._endpoint}: {doing}: the server said goodbye: {self.shown(str(error))}"
            raise (Throttled if throttles(str(error)) else ConnectionFailed)(message) from None
        except imaplib.IMAP4.abort as error:
            raise ProtocolViolation(f"{self._endpoint}: {doing}: {self.shown(str(error))}") from None
        except imaplib.IMAP4.error as error:
            raise self.refused(doing, str(error)) from None

    def refused(self, doing: str, text: str) -> SourceError:
        """NO or BAD to something that has to work."""
        message = f"{self._endpoint}: {doing}: {self.shown(text)}"
        return Throttled(message) if throttles(text) else SourceError(message)

    def greeting(self, error: imaplib.IMAP4.error) -> SourceError:
        """No OK in the greeting, or BYE soon after: not now, too many connections mostly."""
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "backslashreplace") if isinstance(said, bytes) else str(said)
        goodbye = isinstance(error, Goodbye) or text.upper().startswith("* BYE")
        kind = Throttled if goodbye else ProtocolViolation
        return kind(f"{self._endpoint}: greeted with {self.shown(text)}")

    def login(self, completed: Completed) -> SourceError:
        """A refused login; what bars us only for now is no failure of the credentials (hazard I27)."""
        code = response_code(completed.text)
        message = f"{self._endpoint}: login refused: {self.shown(completed.text)}"
        if code in _THROTTLING or "too many" in completed.text.lower():
            return Throttled(message)
        if code == "PRIVACYREQUIRED":
            return TlsRefused(f"{message}. Set source.tls to starttls or implicit.")
        return AuthenticationFailed(message, certain=code in _WRONG_CREDENTIALS)


def response_code(text: str) -> str | None:
    """UNAVAILABLE of `[UNAVAILABLE] text`, RFC 3501, 7.1."""
    match = _CODE.search(text)
    return match[1] if match else None


def throttles(text: str) -> bool:
    """The server asks for less."""
    return response_code(text) in _THROTTLING
