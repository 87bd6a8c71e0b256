"""What a transcript shows, and whether a secret is in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from reconciler.model.secret import Secret
from reconciler.model.secret_parts import PART
from reconciler.model.session_dialogue import Direction
from reconciler.wire.sasl import Credentials
from reconciler.wire.transcript import Transcript

_ARROWS = {Direction.SENT: "> ", Direction.RECEIVED: "< ", Direction.NOTE: "- "}


def said(transcript: Transcript) -> list[str]:
    """The lines with arrows, without their times."""
    return [
        f"… {line.count} …"
        if line.direction is Direction.OMITTED
        else _ARROWS[line.direction] + line.text
        for line in transcript.lines()
    ]


def leaks(text: str, secret: str, username: str = "user", *, token: bool = False) -> list[str]:
    """The parts of the secret, in any form, that stand in the text."""
    lowered = text.lower()
    return sorted(
        {
            part
            for form in _forms(secret, username, token=token)
            for at in range(len(form) - PART + 1)
            if (part := form[at : at + PART]) in lowered
        }
    )


def _forms(secret: str, username: str, *, token: bool) -> Iterator[str]:
    messages = [found.reveal() for found in Credentials(username, Secret(secret), token).forms()]
    yield secret.lower()
    yield secret.replace("\\", "\\\\").replace('"', '\\"').lower()
    yield secret.encode().hex()
    # what comes before the secret is no secret
    for message in messages:
        begin = message.index(secret)
        encoded = base64.b64encode(message.encode()).decode()
        yield encoded[-(-begin * 4 // 3) : len(encoded) - 4].lower()
