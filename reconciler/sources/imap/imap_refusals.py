"""The errors of an IMAP server's refusals (`replies.refusals`), without secrets in their texts."""

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
from reconciler.model.secret import Secret
from reconciler.model.secret_parts import foreign_words
from reconciler.replies.refusals import concerns_all, refusal, refused_login
from reconciler.replies.reply_meaning import decoded
from reconciler.sources.imap.fetch_responses import TaggedCompletion
from reconciler.sources.imap.imap_dialogue import Goodbye
from reconciler.wire.endpoint import Endpoint

_CODE = re.compile(r"\[([A-Z][A-Z0-9-]*)(?: [^\[\]]*)?\]")
_SHOWN = 300


class ImapRefusals:
    """Turns refusals of one server into errors."""

    def __init__(self, endpoint: Endpoint, secrets: Sequence[Secret]) -> None:
        """`secrets` are removed from the server's words."""
        self._endpoint = endpoint
        self._secrets = secrets

    def shown(self, text: str) -> str:
        """Return the server's words on one line (hazards S1, M14).

        Secrets, control characters and text beyond `_SHOWN` characters are removed.
        """
        line = foreign_words(text, self._secrets, _SHOWN)
        return one_line(line)

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Raise imaplib's errors as `SourceError`; `doing` begins their text."""
        try:
            yield
        except Goodbye as error:
            text = f"{doing}: the server said goodbye"
            raise self.known(text, str(error)) or ConnectionFailed(
                self._sentence(text, str(error))
            ) from None
        except imaplib.IMAP4.abort as error:
            raise ProtocolViolation(
                f"{self._endpoint}: {doing}: {self.shown(str(error))}"
            ) from None
        except imaplib.IMAP4.error as error:
            raise self.refused(doing, str(error)) from None

    def refused(self, doing: str, text: str) -> SourceError:
        """Return the error of a NO or BAD to a command that must work."""
        return self.known(doing, text) or SourceError(self._sentence(doing, text))

    def known(self, doing: str, text: str) -> SourceError | None:
        """Return the error of these words; None where their meaning is unknown.

        Words that speak of wrong credentials count only with a response code, as this is no login.
        """
        error = self._understood(doing, text)
        return None if isinstance(error, AuthenticationFailed) and not error.certain else error

    def missing(self, notes: Sequence[tuple[str, str]], others: Sequence[str]) -> SourceError:
        """Return the error where no folder could be opened.

        `notes` has a sentence for each folder and the server's words. `others` are sentences about
        other faults of the declared folders.
        """
        for sentence, text in notes:
            error = self._understood("", text, f"{self._endpoint}: {sentence}")
            if error is not None and (not isinstance(error, AuthenticationFailed) or error.certain):
                return error
        sentences = "; ".join([*others, *(note for note, _ in notes)])
        return SourceUnsuitable(f"{self._endpoint}: {sentences}. Correct source.folders.")

    def greeting(self, error: imaplib.IMAP4.error) -> SourceError:
        """Return the error of a greeting without OK, or of BYE soon after it.

        Mostly the server has too many connections.
        """
        words = error.args[0] if error.args else ""
        text = decoded(words) if isinstance(words, bytes) else str(words)
        goodbye = isinstance(error, Goodbye) or text.upper().startswith("* BYE")
        message = f"{self._endpoint}: greeted with {self.shown(text)}"
        if not goodbye:
            return ProtocolViolation(message)
        refused = self._understood("greeted", text, message) or SourceUnavailable(message)
        refused.of_address = True
        return refused

    def login(self, completed: TaggedCompletion) -> SourceError:
        """Return the error of a refused login.

        A refusal for a while is no fault of the credentials (hazard I27).
        """
        return self._understood("login refused", completed.text) or refused_login(
            self._sentence("login refused", completed.text),
            completed.text,
            host=self._endpoint.host,
            protocol="imap",
            provider=self._endpoint.provider,
        )

    def _understood(self, doing: str, text: str, message: str = "") -> SourceError | None:
        return refusal(
            message or self._sentence(doing, text),
            text,
            response_code(text) or "",
            host=self._endpoint.host,
            protocol="imap",
            provider=self._endpoint.provider,
        )

    def _sentence(self, doing: str, text: str) -> str:
        return f"{self._endpoint}: {doing}: {self.shown(text)}"


def response_code(text: str) -> str | None:
    """Return the response code (RFC 3501, section 7.1): UNAVAILABLE of `[UNAVAILABLE] text`."""
    match = _CODE.search(text)
    return match[1] if match else None


def throttles(text: str) -> bool:
    """Return whether a refusal concerns every command for a while; see `concerns_all`."""
    return concerns_all(text, response_code(text) or "")
