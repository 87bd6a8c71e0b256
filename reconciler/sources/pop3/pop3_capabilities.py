"""What a server offers (RFC 2449)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from reconciler.sources.pop3.pop3_dialogue import Pop3Dialogue, Pop3Reply

_LONGEST = 64 << 10
"""Octets of the reply to CAPA."""


class Capabilities(Struct, frozen=True):
    """The reply to CAPA. `known` is False where the server has no such command: then nothing is
    ruled out."""

    known: bool = False
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each capability with its arguments, in capitals."""

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> Capabilities:
        words = [line.decode("ascii", "replace").upper().split() for line in lines]
        return cls(True, {first: tuple(rest) for first, *rest in filter(None, words)})

    def __contains__(self, name: str) -> bool:
        return name in self.offered

    @property
    def sasl(self) -> tuple[str, ...]:
        return self.offered.get("SASL", ())

    @property
    def login_delay(self) -> float | None:
        """Seconds that have to pass between two logins."""
        seconds = next(iter(self.offered.get("LOGIN-DELAY", ())), "")
        return float(seconds) if seconds.isdecimal() and len(seconds) <= 6 else None


def ask(dialogue: Pop3Dialogue) -> Capabilities:
    dialogue.send(b"CAPA")
    return told(dialogue)[1] or Capabilities()


def told(dialogue: Pop3Dialogue) -> tuple[Pop3Reply, Capabilities | None]:
    """The reply to CAPA; None where it is refused."""
    blocks: list[bytes] = []
    reply, _ = dialogue.lines(blocks.append, _LONGEST)
    return reply, Capabilities.parse(b"".join(blocks).split(b"\n")) if reply.ok else None
