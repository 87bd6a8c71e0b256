"""The corpus of messages: each with the collector it is routed by and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reconciler.model.routing_answer import RoutedRecipient
from reconciler.model.spec import RecipientSpec

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Collector:
    """`existing`: the mailboxes that the destination has."""

    recipient: RecipientSpec
    account: str | None
    existing: frozenset[str]
    smtputf8: bool

    def exists(self, address: str) -> bool:
        return address in self.existing

    def deliverable(self, address: str) -> bool:
        return self.smtputf8 or address.rpartition("@")[0].isascii()


@dataclass(frozen=True)
class Case:
    path: Path
    declared_by: str
    """The collector's name in expected.yaml."""
    collector: Collector
    recipients: tuple[RoutedRecipient, ...]
    parked: bool
    reason: str

    @property
    def name(self) -> str:
        return self.path.stem


def cases() -> list[Case]:
    expected = YAML(typ="safe").load((CORPUS / "expected.yaml").read_text())
    collectors = {name: _collector(declared) for name, declared in expected["collectors"].items()}
    return [
        Case(
            CORPUS / each["file"],
            each["collector"],
            collectors[each["collector"]],
            tuple(RoutedRecipient(**recipient) for recipient in each["recipients"]),
            each.get("parked", False),
            each.get("reason", ""),
        )
        for each in expected["messages"]
    ]


def _collector(declared: dict[str, Any]) -> Collector:
    return Collector(
        RecipientSpec.model_validate(declared["recipient"]),
        declared.get("account"),
        frozenset(declared.get("existing", ())),
        declared.get("smtputf8", True),
    )
