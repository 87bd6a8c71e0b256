"""Dialogues as the API and `logs -o json` show them, and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model.session_dialogue import DialogueLine, Direction, SessionDialogue
from reconciler.model.status import Shown, Time
from reconciler.model.timestamps import timestamp

_ARROWS = {Direction.SENT: ">", Direction.RECEIVED: "<", Direction.NOTE: "-"}


class ShownDialogueLine(Shown):
    """One line, `at` seconds after the beginning. `omitted` stands for `count` lines."""

    at: float
    connection: str
    direction: Direction
    text: str
    count: int = 0


class ShownDialogue(Shown):
    """What was said in a session or a check, without secrets and without messages. `finished_at` is
    None while it runs."""

    what: str
    started_at: Time
    finished_at: Time | None
    outcome: str
    reason: str = ""
    message: str = ""
    lines: tuple[ShownDialogueLine, ...]

    @classmethod
    def of(cls, dialogue: SessionDialogue) -> ShownDialogue:
        return cls(
            what=dialogue.what,
            started_at=dialogue.started_at,
            finished_at=dialogue.finished_at,
            outcome=dialogue.outcome,
            reason=dialogue.reason,
            message=dialogue.message,
            lines=tuple(
                ShownDialogueLine(
                    at=line.at,
                    connection=line.connection,
                    direction=line.direction,
                    text=line.text,
                    count=line.count,
                )
                for line in dialogue.lines
            ),
        )


class ShownDialogues(Shown):
    """The dialogues of a collector, the newest first."""

    name: str
    items: tuple[ShownDialogue, ...]


def dialogue_text(dialogues: Iterable[SessionDialogue | ShownDialogue]) -> str:
    """Return dialogues as text, the newest last; "" for none."""
    return "\n".join(
        "".join(f"{line}\n" for line in _line_text(dialogue)) for dialogue in [*dialogues][::-1]
    )


def _line_text(dialogue: SessionDialogue | ShownDialogue) -> Iterator[str]:
    took = ""
    if dialogue.finished_at:
        took = f", {(dialogue.finished_at - dialogue.started_at).total_seconds():.1f} s"
    yield f"{dialogue.what} {timestamp(dialogue.started_at)}{took}: {dialogue.outcome}"
    if dialogue.reason:
        yield f"  {dialogue.reason}: {dialogue.message}"
    yield from map(_line, dialogue.lines)


def _line(line: DialogueLine | ShownDialogueLine) -> str:
    if line.direction is Direction.OMITTED:
        return f"            … {line.count:,} lines left out …"
    arrow = _ARROWS[line.direction]
    return f"  {line.at:8.3f}  {line.connection:<4} {arrow} {line.text}".rstrip()
