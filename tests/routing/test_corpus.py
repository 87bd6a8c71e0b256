"""Every message of the corpus gets where it must, and for the right reason."""

from __future__ import annotations

import pytest

from reconciler.collect.routing import route
from reconciler.model.routing_answer import Routing
from tests.routing.cases import CORPUS, Case, cases

CASES = cases()


def routed(case: Case, content: bytes) -> Routing:
    return route(
        content,
        case.collector.recipient,
        case.collector.account,
        case.collector.exists,
        case.collector.deliverable,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_message(case: Case) -> None:
    routing = routed(case, case.path.read_bytes())
    assert routing.recipients == case.recipients
    assert (routing.parked, routing.reason) == (case.parked, case.reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_line_ends_do_not_matter(case: Case) -> None:
    content = case.path.read_bytes().replace(b"\r\n", b"\n")
    assert routed(case, content.replace(b"\n", b"\r\n")) == routed(case, content)


def test_every_file_of_the_corpus_is_expected_and_there_are_enough() -> None:
    files = [case.path.name for case in CASES]
    assert sorted(files) == sorted(path.name for path in CORPUS.glob("*.eml"))
    assert len(files) >= 60
