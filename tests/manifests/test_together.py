"""Rules over all files."""

from __future__ import annotations

from reconciler.manifests.diagnostics import Severity
from reconciler.manifests.loading import ParsedFile, parse
from reconciler.manifests.together import check_together
from tests.manifests.samples import COLLECTOR, DESTINATION

NAMED = COLLECTOR + "  destination: local\n"
DEFAULT = DESTINATION + "  default: true\n"


def parsed(*texts: str) -> list[ParsedFile]:
    return [parse(text.encode(), f"{number}.yaml") for number, text in enumerate(texts, 1)]


def test_nothing_to_say() -> None:
    assert check_together(parsed(COLLECTOR, DEFAULT)).diagnostics == ()
    assert check_together(parsed(NAMED, DESTINATION)).refused == {}
    assert check_together(parsed(COLLECTOR)).diagnostics == ()
    assert check_together([]).diagnostics == ()


def test_Y13_same_name_in_two_files_is_a_conflict_in_both() -> None:
    together = check_together(parsed(COLLECTOR, COLLECTOR))
    assert [(one.file, one.line, one.column, one.rule) for one in together.diagnostics] == [
        ("1.yaml", 4, 9, "duplicate-name"), ("2.yaml", 4, 9, "duplicate-name")]
    assert "2.yaml:1" in together.diagnostics[0].message
    assert "1.yaml:1" in together.diagnostics[1].message
    assert list(together.refused) == [("MailCollector", "sales")]


def test_same_name_in_two_kinds_is_none() -> None:
    assert check_together(parsed(COLLECTOR, DEFAULT.replace("name: local", "name: sales"))).diagnostics == ()


def test_more_than_one_default_refuses_each() -> None:
    together = check_together(parsed(DEFAULT, DEFAULT.replace("name: local", "name: other")))
    assert [one.rule for one in together.diagnostics] == ["several-defaults"] * 2
    assert set(together.refused) == {("Destination", "local"), ("Destination", "other")}


def test_unknown_destination_is_refused_unless_it_exists_elsewhere() -> None:
    files = parsed(NAMED)
    assert set(check_together(files).refused) == {("MailCollector", "sales")}
    assert check_together(files, destinations=["local"]).refused == {}
    some = check_together(files, whole=False)
    assert [one.severity for one in some.diagnostics] == [Severity.WARNING]
    assert some.refused == {}


def test_broken_destination_is_not_unknown() -> None:
    assert check_together(parsed(NAMED, DESTINATION.replace("path", "pth"))).diagnostics == ()


def test_no_default_where_there_are_destinations() -> None:
    together = check_together(parsed(COLLECTOR, DESTINATION))
    assert [(one.rule, one.line) for one in together.diagnostics] == [("no-destination", 5)]
