"""What the server's refusals mean (`replies.refusals`), in texts that anybody may see."""

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
    SourceUnavailable,
    SourceUnsuitable,
)
from reconciler.model.harmless_text import one_line
from reconciler.model.secret import Secret, excerpt
from reconciler.replies.refusals import concerns_all, refusal, refused_login
from reconciler.replies.reply_meaning import decoded
from reconciler.sources.imap.fetch_responses import Completed
from reconciler.sources.imap.imap_dialogue import Goodbye
from reconciler.wire.endpoint import Endpoint

_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)(?: [^\[\]]*)?\]")
_SHOWN = 300


class ImapRefusals:
    """Turns refusals of one server into errors; knows what must not be shown."""

    def __init__(self, endpoint: Endpoint, secrets: Sequence[Secret]) -> None:
        self._endpoint = endpoint
        self._secrets = secrets

    def shown(self, text: str) -> str:
        """The server's words on one line: secrets, control characters and excess removed (hazards
        S1, M14)."""
        line = excerpt(text, self._secrets, _SHOWN)
        return one_line(line)

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Map what imaplib raises."""
        try:
            yield
        except Goodbye as error:
            text = f"{doing}: the server said goodbye"
            raise self.known(text, str(error)) or ConnectionFailed(
                self._told(text, str(error))
            ) from None
        except imaplib.IMAP4.abort as error:
            raise ProtocolViolation(
                f"{self._endpoint}: {doing}: {self.shown(str(error))}"
            ) from None
        except imaplib.IMAP4.error as error:
            raise self.refused(doing, str(error)) from None

    def refused(self, doing: str, text: str) -> SourceError:
        """NO or BAD to something that has to work."""
        return self.known(doing, text) or SourceError(self._told(doing, text))

    def known(self, doing: str, text: str) -> SourceError | None:
        """The error that these words stand for; None where nobody knows what they mean, or they
        only say that the credentials are wrong, which is a login's affair."""
        error = self._understood(doing, text)
        return None if isinstance(error, AuthenticationFailed) and not error.certain else error

    def missing(self, notes: Sequence[tuple[str, str]], others: Sequence[str]) -> SourceError:
        """No folder could be opened: `notes` are what was said of each, with a sentence that shows
        it; `others` say what else is wrong with the declared ones."""
        for told, text in notes:
            error = self._understood("", text, f"{self._endpoint}: {told}")
            if error is not None and (not isinstance(error, AuthenticationFailed) or error.certain):
                return error
        told = "; ".join([*others, *(note for note, _ in notes)])
        return SourceUnsuitable(f"{self._endpoint}: {told}. Correct source.folders.")

    def greeting(self, error: imaplib.IMAP4.error) -> SourceError:
        """No OK in the greeting, or BYE soon after: not now, too many connections mostly."""
        said = error.args[0] if error.args else ""
        text = decoded(said) if isinstance(said, bytes) else str(said)
        goodbye = isinstance(error, Goodbye) or text.upper().startswith("* BYE")
        message = f"{self._endpoint}: greeted with {self.shown(text)}"
        if not goodbye:
            return ProtocolViolation(message)
        refused = self._understood("greeted", text, message) or SourceUnavailable(message)
        refused.of_address = True
        return refused

    def login(self, completed: Completed) -> SourceError:
        """A refused login; what bars us only for now is no failure of the credentials (hazard
        I27)."""
        return self._understood("login refused", completed.text) or refused_login(
            self._told("login refused", completed.text),
            completed.text,
            host=self._endpoint.host,
            protocol="imap",
            provider=self._endpoint.provider,
        )

    def _understood(self, doing: str, text: str, message: str = "") -> SourceError | None:
        return refusal(
            message or self._told(doing, text),
            text,
            response_code(text) or "",
            host=self._endpoint.host,
            protocol="imap",
            provider=self._endpoint.provider,
        )

    def _told(self, doing: str, text: str) -> str:
        return f"{self._endpoint}: {doing}: {self.shown(text)}"


def response_code(text: str) -> str | None:
    """UNAVAILABLE of `[UNAVAILABLE] text`, RFC 3501, 7.1."""
    match = _CODE.search(text)
    return match[1] if match else None


def throttles(text: str) -> bool:
    """The server wants less, or is out of order: that is not about what was asked for."""
    return concerns_all(text, response_code(text) or "")
