"""Rules across all files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from reconciler.manifests.checks.cross_file_checks import check_across_files
from reconciler.manifests.checks.duplicate_accounts import Mailbox
from reconciler.manifests.diagnostics import START, Severity, nearest
from reconciler.manifests.loading import ParsedFile, parse
from reconciler.manifests.manifest_summary import Kind, ManifestSummary
from tests.manifests.samples import COLLECTOR, DESTINATION

NAMED = COLLECTOR + "  destination: local\n"
DEFAULT = DESTINATION + "  default: true\n"


def parsed(*texts: str) -> list[ParsedFile]:
    return [parse(text.encode(), f"{number}.yaml") for number, text in enumerate(texts, 1)]


def test_nothing_to_say() -> None:
    assert check_across_files(parsed(COLLECTOR, DEFAULT)).diagnostics == ()
    assert check_across_files(parsed(NAMED, DESTINATION)).refused == {}
    assert check_across_files(parsed(COLLECTOR)).diagnostics == ()
    assert check_across_files([]).diagnostics == ()


def test_Y13_same_name_in_two_files_is_a_conflict_in_both() -> None:
    together = check_across_files(parsed(COLLECTOR, COLLECTOR))
    assert [(one.file, one.line, one.column, one.rule) for one in together.diagnostics] == [
        ("1.yaml", 4, 9, "duplicate-name"),
        ("2.yaml", 4, 9, "duplicate-name"),
    ]
    assert "2.yaml:1" in together.diagnostics[0].message
    assert "1.yaml:1" in together.diagnostics[1].message
    assert list(together.refused) == [("MailCollector", "sales")]


def test_same_name_in_two_kinds_is_none() -> None:
    assert (
        check_across_files(
            parsed(COLLECTOR, DEFAULT.replace("name: local", "name: sales"))
        ).diagnostics
        == ()
    )


def test_more_than_one_default_refuses_each() -> None:
    together = check_across_files(parsed(DEFAULT, DEFAULT.replace("name: local", "name: other")))
    assert [one.rule for one in together.diagnostics] == ["several-defaults"] * 2
    assert set(together.refused) == {("Destination", "local"), ("Destination", "other")}


def test_unknown_destination_is_refused_unless_it_exists_elsewhere() -> None:
    files = parsed(NAMED)
    assert set(check_across_files(files).refused) == {("MailCollector", "sales")}
    assert check_across_files(files, destinations=["local"]).refused == {}
    some = check_across_files(files, whole=False)
    assert [one.severity for one in some.diagnostics] == [Severity.WARNING]
    assert some.refused == {}


def test_broken_destination_is_not_unknown() -> None:
    assert check_across_files(parsed(NAMED, DESTINATION.replace("path", "pth"))).diagnostics == ()


def test_no_default_where_there_are_destinations() -> None:
    together = check_across_files(parsed(COLLECTOR, DESTINATION))
    assert [(one.rule, one.line) for one in together.diagnostics] == [("no-destination", 5)]


def collector(name: str, **changes: str) -> str:
    text = COLLECTOR.replace("name: sales", f"name: {name}", 1)
    for old, new in changes.items():
        text = text.replace(
            {
                "host": "imap.example.org",
                "user": "sales@example.org",
                "protocol": "protocol: imap",
                "recipient": "  recipient:",
            }[old],
            new,
        )
    return text


def rules(*texts: str) -> list[tuple[str, str]]:
    return [(one.file, one.rule) for one in check_across_files(parsed(*texts)).diagnostics]


def test_two_collectors_on_one_mailbox_are_told_of_each_other() -> None:
    both = [("1.yaml", "shared-account"), ("2.yaml", "shared-account")]
    assert rules(collector("a"), collector("b")) == both
    assert (
        rules(collector("a"), collector("b", protocol="protocol: pop3", user="SALES@example.org"))
        == both
    )
    gmail = [collector(name, host=f"{name}.gmail.com") for name in ("imap", "pop")]
    assert rules(*gmail) == both
    assert rules(collector("a"), collector("b", user="other@example.org")) == []
    assert rules(collector("a"), collector("b", host="other.example.org")) == []


def test_other_folders_and_disabled_ones_share_nothing() -> None:
    def folders(name: str, *names: str) -> str:
        return collector(name, protocol=f"protocol: imap\n    folders: {list(names)}")

    assert rules(folders("a", "INBOX"), folders("b", "Lists", "Work/x")) == []
    assert rules(folders("a", "inbox"), folders("b", "Lists", "INBOX")) != []
    assert rules(folders("a", "Lists/*"), folders("b", "Lists/x/y")) != []
    assert rules(folders("a", "Lists/%"), folders("b", "Lists/x/y")) == []
    disabled = collector("b", recipient="  enabled: false\n  recipient:")
    assert rules(collector("a"), disabled) == []


def test_all_delete_on_what_another_one_reads() -> None:
    taker = collector("a", recipient="  collect: {mode: all-delete}\n  recipient:")
    together = check_across_files(parsed(taker, collector("b")))
    assert [(one.file, one.line, one.rule) for one in together.diagnostics] == [
        ("1.yaml", 11, "all-delete-shared"),
        ("2.yaml", 6, "shared-account"),
    ]
    assert "`b` (2.yaml:1)" in together.diagnostics[0].message
    assert together.refused == {}


def test_default_that_nobody_falls_back_to() -> None:
    named = NAMED.replace("destination: local", "destination: other")
    other = DESTINATION.replace("name: local", "name: other")
    assert rules(named, DEFAULT, other) == [("2.yaml", "unreachable-default")]
    assert (
        rules(
            named,
            COLLECTOR.replace("name: sales", "name: b").replace("sales@", "b@"),
            DEFAULT,
            other,
        )
        == []
    )
    assert rules(NAMED, DEFAULT) == []
    assert rules(DEFAULT) == []
    assert check_across_files(parsed(named, DEFAULT, other), whole=False).diagnostics == ()


def by_refresh_token(name: str, path: str) -> str:
    return f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source:
    protocol: imap
    host: imap.example.org
    username: {name}@example.org
    oauth2: {{provider: google, clientId: x, refreshToken: {{file: {path}}}}}
  recipient: {{forwardTo: a@example.net}}
"""


def test_O2_collectors_that_share_a_refresh_token_are_told_of_each_other() -> None:
    files = parsed(
        by_refresh_token("a", "../secrets/t"),
        by_refresh_token("b", "../x/../secrets/t"),
        by_refresh_token("c", "../secrets/u"),
    )
    found = check_across_files(files)
    assert [(one.file, one.rule, one.severity) for one in found.diagnostics] == [
        ("1.yaml", "shared-refresh-token", Severity.INFO),
        ("2.yaml", "shared-refresh-token", Severity.INFO),
    ]
    assert found.refused == {}


def test_O13_a_refresh_token_that_the_next_push_replaces(tmp_path: Path) -> None:
    """Return the layout of git-sync: a link to a work tree whose `.git` is a file."""
    tree = tmp_path / ".worktrees" / "0123"
    (tree / "secrets").mkdir(parents=True)
    (tree / ".git").write_text("gitdir: /elsewhere")
    (tmp_path / "current").symlink_to(tree)
    (tmp_path / "plain" / ".git").mkdir(parents=True)
    inside = parse(
        by_refresh_token("a", "../secrets/t").encode(), f"{tmp_path}/current/collectors.d/a.yaml"
    )
    outside = parse(
        by_refresh_token("b", f"{tmp_path}/plain/t").encode(),
        f"{tmp_path}/current/collectors.d/b.yaml",
    )
    assert [
        (one.rule, one.severity) for one in check_across_files([inside, outside]).diagnostics
    ] == [("refresh-token-in-git", Severity.WARNING)]


# Many files, all of them wrong

MARKS = dict.fromkeys(
    (
        "metadata.name",
        "spec",
        "spec.destination",
        "spec.default",
        "spec.source",
        "spec.collect.mode",
    ),
    START,
)


class Only(Struct):
    """Return a parsed file with one manifest."""

    one: ManifestSummary

    def named(self) -> tuple[ManifestSummary, ...]:
        return (self.one,)


def many(count: int, kind: Kind = "MailCollector", name: str = "c{}", **more: Any) -> list[Only]:
    return [
        Only(
            ManifestSummary(
                kind,
                name.format(number),
                f"{number}.yaml",
                1,
                marks=MARKS,
                **{key: value(number) for key, value in more.items()},
            )
        )
        for number in range(count)
    ]


def reading(*folders: str) -> Callable[[int], Mailbox]:
    return lambda number: Mailbox(
        "account", tuple(folder.format(number) for folder in folders), takes_away=False
    )


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([*many(4000, destination="none-{}".format), *many(400, "Destination", "dest-{}")], 4000),
        (many(4000, name="same"), 4000),
        (many(4000, "Destination", default=lambda _: True), 4000),
        (many(4000, mailbox=reading("INBOX")), 4000),
        (many(4000, mailbox=reading("Folder{}")), 0),
        (many(4000, mailbox=reading("Folder{}/*")), 0),
        (many(4000, refresh_token=lambda _: "/secrets/token"), 4000),
    ],
    ids=[
        "unknown destinations",
        "one name",
        "defaults",
        "one mailbox",
        "folders",
        "patterns",
        "one token",
    ],
)
def test_thousands_of_files_that_are_all_wrong_are_told_of_in_a_moment(
    files: list[Only], told: int
) -> None:
    began = time.process_time()
    found = check_across_files(files).diagnostics
    assert time.process_time() - began < 5  # it was a minute and more, with the square
    assert len(found) == told
    assert max((len(one.message) for one in found), default=0) < 2_000


def test_of_many_names_the_nearest_is_still_meant() -> None:
    known = [f"destination-{number:04}" for number in range(5_000)] + ["maildir", "local"]
    assert nearest("destinatoin-0042", known) in known
    assert nearest("Mail_dir", known) == "maildir"
    assert nearest("maildirr", known) == "maildir"
    assert nearest("zzzzzz", known) is None


def test_the_first_other_reader_is_told_whether_it_says_the_folder_or_a_pattern() -> None:
    folders = {"a": "[Sent]", "b": '["L*"]', "c": "[Lists]", "d": "[Lists, Sent]", "e": "[Other]"}
    texts = [
        collector(name, protocol=f"protocol: imap\n    folders: {read}")
        for name, read in folders.items()
    ]
    found = {
        Path(one.file).stem: one.message.partition(" (")[0]
        for one in check_across_files(parsed(*texts)).diagnostics
        if one.rule == "shared-account"
    }
    assert found == {
        "1": "the collector `d`",
        "2": "the collector `c`",
        "3": "the collector `b`",
        "4": "the collector `a`",
    }
