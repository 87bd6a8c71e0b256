"""Which messages a folder has, of a dialogue in memory."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.sources.imap.response_reader import Untagged
from reconciler.sources.imap.uid_search import all_uids


def dialogue(*answers: bytes) -> Any:
    """Answers a SEARCH."""

    def run(*_words: str, hear: Mapping[str, Any]) -> Any:
        for text in answers:
            name, _, rest = text.partition(b" ")
            hear[name.decode()](Untagged(name.decode(), None, rest))
        return SimpleNamespace(ok=True)

    return SimpleNamespace(run=run)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"SEARCH 1 2 3", [1, 2, 3]),
        (b"SEARCH 3 1 2 3 1 2", [1, 2, 3]),
        (b"SEARCH 1 2 3 4", None),
        (b"SEARCH 0 2", [2]),
        (b'ESEARCH (TAG "A1") UID ALL 1:3', [1, 2, 3]),
        (b"ESEARCH UID ALL 3:2,7", [2, 3, 7]),
        (b"ESEARCH UID COUNT 0", []),
        (b"ESEARCH ALL 1:3", None),
    ],
)
def test_as_many_as_there_may_be_are_listed(answer: bytes, found: list[int] | None) -> None:
    told = all_uids(dialogue(answer), "SEARCH", 3)
    assert (told if told is None else list(told)) == found
